import type {Database} from '../../db/database.ts'
import type {LockAnswer, RefreshLock} from '../../db/locks/refresh-lock.ts'
import {type ClaimedJob, type LockedJob, renewLeases} from '../../db/queue/claims.ts'
import {failOrRequeueJob, returnJob} from '../../db/queue/settle.ts'
import {type AybError, isAybError, messageOf} from '../../lib/errors.ts'
import {lockName} from '../../lib/identifier.ts'
import {scopeOfPayload, viewOfPayload} from '../../lib/payload.ts'
import {DeadConnections} from '../refresh/dead-connection.ts'
import {SECOND_LOOK_MS} from '../refresh/decide.ts'
import {factsOf, type JobOutcome} from './job-reports.ts'
import {advanceBehind} from './job-sets.ts'
import {WITHOUT_SESSION} from './retry.ts'
import type {LeftByJob} from './rhythm.ts'
import {onAnySession, type RunnerContext, runJob} from './runner.ts'
import type {WorkerSessions} from './sessions.ts'
import type {Tally} from './tally.ts'

/** How long a refresh runs before its connection is checked. */
const WATCH_AFTER_MS = 5000

interface Running {
  job: ClaimedJob
  startedAt: number
  /** Null until the job has a session. */
  db: Database | null
  /** Null until the refresh holds the lock of the view. */
  lock: RefreshLock | null
  /** Whether a poll or a claim has left out the view of a job since the slot took its first one. */
  isPassedOver: boolean
  /** Null while the job runs, and where it did not run to an end that was recorded. */
  outcome: JobOutcome | null
  done: Promise<void>
}

/**
 * What the last job of a slot has left. A job that was completed leaves nothing, unless other jobs of its view
 * were passed over meanwhile, or jobs of its set wait for it.
 */
function leftBy({job, isPassedOver, outcome}: Running): LeftByJob {
  const isPutBack = outcome === 'second-look'
  const isKnown = isPutBack || outcome === 'succeeded' || outcome === 'unchanged'
  return {
    mayBeMore: isPassedOver || !isKnown || scopeOfPayload(job.payload) !== null,
    dueInMs: isPutBack ? SECOND_LOOK_MS : null,
  }
}

/** What the slots need from the worker. */
export interface SlotsContext extends RunnerContext {
  tally: Tally
  /** Called when a slot has become free. */
  onFree(left: LeftByJob): void
  /** Called when the tables cannot be trusted. */
  onDistrust(error: AybError): void
}

/** The jobs in hand: one for each busy slot. */
export class Slots {
  readonly #running = new Map<string, Running>()
  readonly #connections = new DeadConnections()
  readonly #total: number
  readonly #sessions: WorkerSessions
  readonly #context: SlotsContext
  #isClosed = false

  constructor(total: number, sessions: WorkerSessions, context: SlotsContext) {
    this.#total = total
    this.#sessions = sessions
    this.#context = context
  }

  get busy(): number {
    return this.#running.size
  }

  get free(): number {
    return this.#total - this.#running.size
  }

  /** The views of the jobs in hand, as claims name them. */
  get busyViews(): string[] {
    return [...this.#running.values()].flatMap(({job}) => {
      const view = viewOfPayload(job.payload)
      return view ? [lockName(view)] : []
    })
  }

  /** The ids of the jobs in hand. */
  get jobIds(): string[] {
    return [...this.#running.keys()]
  }

  /**
   * Starts claimed jobs. Of two jobs of one view, the second is returned as if it had not been claimed. Returns
   * how many jobs were started.
   */
  async start(control: Database, jobs: readonly ClaimedJob[]): Promise<number> {
    const returned: ClaimedJob[] = []
    for (const job of jobs) {
      if (this.#isClosed || this.#isBusyWith(job)) {
        this.passOver()
        returned.push(job)
        continue
      }
      this.#context.tally.countClaim()
      const startedAt = performance.now()
      const running: Running = {
        job,
        startedAt,
        db: null,
        lock: null,
        isPassedOver: false,
        outcome: null,
        done: Promise.resolve(),
      }
      this.#running.set(job.id, running)
      running.done = this.#run(running)
    }
    this.emitSlots()
    for (const job of returned) await returnJob(control, job)
    return jobs.length - returned.length
  }

  /** What follows leaves out the views in hand, so that other jobs of these views may be due. */
  passOver(): void {
    for (const running of this.#running.values()) running.isPassedOver = true
  }

  /** No slot takes another job after this. */
  close(): void {
    this.#isClosed = true
  }

  #isBusyWith(job: ClaimedJob): boolean {
    const view = viewOfPayload(job.payload)
    return view !== null && this.busyViews.includes(lockName(view))
  }

  /** Resolves when no job is in hand any more. */
  async drain(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({done}) => done))
  }

  /** Drops the sessions of all jobs in hand. */
  dropAll(): void {
    for (const {db} of this.#running.values()) db?.session.destroy()
  }

  /** Renews the leases of the jobs in hand. */
  async renewLeases(control: Database, leaseMs: number): Promise<void> {
    const idsByWorker = new Map<string, string[]>()
    for (const {job} of this.#running.values()) {
      idsByWorker.set(job.workerId, [...(idsByWorker.get(job.workerId) ?? []), job.id])
    }
    for (const [workerId, ids] of idsByWorker) await renewLeases(control, workerId, ids, leaseMs)
  }

  /** Drops sessions with a dead connection: an answer is awaited, but the backend is idle or gone. */
  async dropDeadConnections(control: Database): Promise<void> {
    // When this process was paused, answers may have arrived that it has not read yet.
    await new Promise((resolve) => setImmediate(resolve))
    // A copy, because a slot goes on to its next job in the same record.
    const awaited = [...this.#running.values()].flatMap(({db, job, lock, startedAt}) =>
      db?.session.isUsable && performance.now() - startedAt > WATCH_AFTER_MS
        ? [{db, session: db.session, job, view: viewOfPayload(job.payload), lock}]
        : [],
    )
    for (const {db, job, view, pid} of await this.#connections.find(control.session, awaited)) {
      // The answer may have arrived since, and the session may run the next job.
      const isStillAwaited = this.#running.get(job.id)?.db === db && db.session.isUsable
      if (!isStillAwaited) continue
      this.#context.emit({type: 'connection-dead', pid, ...factsOf(job, view)})
      db.session.destroy()
    }
  }

  async #run(running: Running): Promise<void> {
    try {
      const db = await this.#sessionFor(running.job)
      if (db) {
        running.db = db
        let next = await this.#runOne(running, {job: running.job, lock: 'untried'}, db)
        while (next) {
          this.#context.tally.countClaim()
          next = await this.#runOne(running, next, db)
        }
        await this.#sessions.release(db)
      }
    } catch (error) {
      // A later poll rescues the job. Nobody knows what the session holds.
      running.db?.session.destroy()
      const {job} = running
      const {emit} = this.#context
      const message = `job ${job.id} could not be settled: ${messageOf(error)}`
      emit({type: 'job-unrecorded', ...factsOf(job, viewOfPayload(job.payload)), message})
    } finally {
      this.#running.delete(running.job.id)
      this.emitSlots()
      this.#context.onFree(leftBy(running))
    }
  }

  /** Runs the job in hand. Returns the next job of the slot, which was claimed in the same message. */
  async #runOne(
    running: Running,
    {job, lock}: {job: ClaimedJob; lock: LockAnswer | 'untried'},
    db: Database,
  ): Promise<LockedJob | null> {
    const claimNext = () => (this.#isClosed ? null : this.#context.claimNext())
    const onLocked = (lock: RefreshLock) => {
      running.lock = lock
    }
    const {next, outcome} = await runJob(db, job, {...this.#context, answer: lock, claimNext, onLocked})
    running.outcome = outcome
    if (db.session.isUsable) await advanceBehind(db, job, this.#context.emit)
    if (!next) return null
    this.#running.delete(running.job.id)
    // Since the claim was sent, the worker may have been told to stop, another slot may have taken a job of the
    // view, or the connection may be gone.
    const isReturned = this.#isClosed || this.#isBusyWith(next.job) || !db.session.isUsable
    running.job = next.job
    running.lock = null
    running.outcome = null
    running.startedAt = performance.now()
    this.#running.set(next.job.id, running)
    if (!isReturned) return next
    if (next.lock !== 'refused') await next.lock.release()
    await onAnySession(db, this.#context, (on) => returnJob(on, next.job))
    return null
  }

  /** A session for the job; null where none could be opened, and the job was put back. */
  async #sessionFor(job: ClaimedJob): Promise<Database | null> {
    try {
      const db = await this.#sessions.acquire()
      // A kept session has perhaps been warned after its last refresh was told.
      for (const message of db.takeWarnings()) this.#context.emit({type: 'warning', message})
      return db
    } catch (error) {
      if (!isAybError(error)) throw error
      if (error.code === 'UNTRUSTED_TABLE') this.#context.onDistrust(error)
      else {
        const facts = factsOf(job, viewOfPayload(job.payload))
        this.#context.emit({type: 'job-without-session', ...facts, error: error.message})
      }
      await onAnySession(null, this.#context, (on) => failOrRequeueJob(on, job, WITHOUT_SESSION))
      return null
    }
  }

  /** Reports how many slots are busy. */
  emitSlots(): void {
    this.#context.emit({type: 'slots', busy: this.busy, total: this.#total})
  }
}
