import {setMaxListeners} from 'node:events'
import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {type Survey, survey} from '../../db/queue/survey.ts'
import type {OpenOptions, Session} from '../../db/session.ts'
import {AybError, isAybError, messageOf} from '../../lib/errors.ts'
import type {JobState, RemainingJob, WorkerResult} from '../../lib/records.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {JobCount} from '../job-count.ts'
import {refreshSettings} from '../refresh/request.ts'
import {Alarm} from './alarm.ts'
import {Claimer} from './claimer.ts'
import {Complaints} from './complaints.ts'
import {
  ControlSession,
  isTransient,
  LONGEST_PAUSE_MS as LONGEST_RECONNECT_PAUSE_MS,
  type OpenDatabase,
} from './control.ts'
import {watchTrust} from './distrust.ts'
import {FrozenWorkers} from './frozen.ts'
import {LockHolders} from './lock-holders.ts'
import {LockPatience} from './lock-patience.ts'
import {LockSampler} from './lock-sampler.ts'
import {LostBackends} from './lost-backends.ts'
import {LowerBounds} from './lower-bounds.ts'
import {Once} from './once.ts'
import {Pacing} from './pacing.ts'
import {reconnect} from './reconnect.ts'
import {Retention} from './retention.ts'
import {Scheduler} from './scheduler.ts'
import {WorkerSessions} from './sessions.ts'
import {Shutdown} from './shutdown.ts'
import {Slots} from './slots.ts'
import {tendJobs} from './tending.ts'

/** How a worker works. Durations in milliseconds. */
export interface WorkerOptions {
  concurrency: number
  pollIntervalMs: number
  leaseMs: number
  refreshTimeoutMs: number | null
  lockTimeoutMs: number | null
  lockRetryForMs: number | null
  shutdownTimeoutMs: number
  /** How long finished jobs are kept; 0 keeps all. */
  retentionMs: number
  /** Runs what is due, then ends. */
  isOnce: boolean
}

/**
 * Statements of a worker are short, but for the refreshes: one that is not answered by then has a dead network under it.
 */
const STATEMENT_DEADLINE_MS = 30_000
/** For how long slots that become free are gathered while there is more to do than slots: one claim serves them all. */
const GATHER_MS = 1
/** For how long jobs are made of schedules without a look around. */
const LONGEST_QUEUEING_MS = 5000
/** A loop that has not come round for a minute hangs: each of its statements has a deadline of half of that. */
const HANGS_AFTER_MS = 60_000
/** How soon to look again after a statement failed that should not have. */
const FAILURE_PAUSE_MS = 5000

/** Turns due schedules into jobs, and jobs into refreshes, until it is told to stop. */
export class Worker {
  readonly #options: WorkerOptions
  readonly #emit: Emit
  readonly #open: OpenDatabase
  readonly #alarm = new Alarm()
  readonly #sessions: WorkerSessions
  readonly #control: ControlSession
  readonly #bounds: LowerBounds
  readonly #claimer: Claimer
  readonly #scheduler: Scheduler
  readonly #frozen: FrozenWorkers
  readonly #retention: Retention
  readonly #jobCount: JobCount
  readonly #pacing: Pacing
  /** Null where it works until it is stopped. */
  readonly #once: Once | null
  /** Aborts what runs, when waiting for it takes too long. */
  readonly #cutOff = new AbortController()
  /** Aborts waiting for a database that does not come back. */
  readonly #giveUp = new AbortController()
  #slots: Slots | null = null
  #lastTurnAt = performance.now()
  readonly #complaints = new Complaints()
  readonly #lost = new LostBackends()

  /** `open` connects as the worker; it is called for each session. */
  constructor(options: WorkerOptions, open: (how: OpenOptions) => Promise<Database>, tell: Emit) {
    this.#options = options
    const once = options.isOnce ? new Once() : null
    this.#once = once
    const emit: Emit = (event) => {
      once?.observe(event)
      tell(event)
    }
    this.#emit = emit
    this.#open = async (signal) => {
      const db = await open({signal, deadlineMs: STATEMENT_DEADLINE_MS})
      await this.#lost.adopt(db.session)
      return db
    }
    this.#sessions = new WorkerSessions(this.#open, (message) => emit({type: 'warning', message}))
    this.#jobCount = new JobCount((count) => this.#sessions.use(count))
    this.#pacing = new Pacing(options)
    // One listener a refresh in hand.
    setMaxListeners(0, this.#cutOff.signal, this.#giveUp.signal)
    // What ends when nothing is left must not miss anything.
    this.#bounds = new LowerBounds(options.isOnce)
    this.#claimer = new Claimer(this.#sessions, this.#bounds, options.leaseMs, once)
    this.#scheduler = new Scheduler(emit)
    this.#frozen = new FrozenWorkers(emit)
    this.#control = new ControlSession(this.#open, this.#sessions, this.#alarm, emit, {
      pollIntervalMs: options.pollIntervalMs,
      waitsForPromotion: !options.isOnce,
      onNotify: () => this.#lookAgain(),
    })
    this.#retention = new Retention(options.retentionMs, this.#control, emit, (error) =>
      this.#complain(error),
    )
  }

  /** Whether the database could be reached when last heard of. */
  get isDatabaseUp(): boolean {
    return this.#control.isUp
  }

  /** Whether the loop comes round, or tries to reach the database: not later than it may sleep, and a while. */
  get isTurning(): boolean {
    const age = performance.now() - Math.max(this.#lastTurnAt, this.#control.lastAttemptAt)
    return age < Math.max(this.#options.pollIntervalMs, LONGEST_RECONNECT_PAUSE_MS) + HANGS_AFTER_MS
  }

  /** How many jobs are in each state, counted at most every 15 s; null while the database is away. */
  async countJobs(): Promise<Record<JobState, number> | null> {
    return this.#control.isUp ? this.#jobCount.read() : null
  }

  /**
   * Works until the signal aborts, or with `isOnce` until nothing is left of what was due. What runs may then finish for the
   * shutdown timeout; what does not is cancelled and goes back into the queue.
   * @throws AybError what keeps the first session from being opened
   */
  async run(signal: AbortSignal): Promise<WorkerResult> {
    const first = await this.#control.get(signal)
    if (!first) return this.#result([])
    const slots = this.#makeSlots()
    this.#slots = slots
    this.#emit({
      type: 'started',
      workerId: this.#sessions.workerId,
      concurrency: this.#options.concurrency,
      server: describeServer(first.session),
    })
    if (first.session.isPooled) {
      this.#emit({
        type: 'pooled',
        pollIntervalMs: this.#options.pollIntervalMs,
        leaseMs: this.#options.leaseMs,
      })
    }
    slots.emitSlots()
    const stopTending = tendJobs(this.#control, slots, this.#options.leaseMs)
    const stopWatching = watchTrust(this.#control, (error) => this.#distrust(error))
    const warming = this.#options.isOnce ? null : this.#sessions.warmUp(signal)
    const shutdown = new Shutdown(signal, this.#options.shutdownTimeoutMs, {
      onSignal: () => {
        slots.close()
        this.#emit({type: 'stopping', running: slots.busy, signal: signalName(signal.reason)})
      },
      // The loop may wait for an answer; what it waits for is not wanted any more.
      onImpatience: () => this.#control.current?.session.destroy(),
      onTimeout: () => this.#cutOff.abort(new AybError('CANCELED', 'canceled: the worker was stopped')),
      onLimit: () => {
        this.#giveUp.abort()
        slots.dropAll()
      },
    })
    let remaining: RemainingJob[] = []
    try {
      await this.#loop(slots, signal)
      remaining = (await this.#once?.remaining(this.#control.current)) ?? []
    } finally {
      slots.close()
      shutdown.loopEnded()
      await Promise.race([slots.drain(), shutdown.givenUp])
      shutdown.end()
      stopTending()
      stopWatching()
      this.#retention.stop()
      await warming
      await this.#sessions.close()
      await this.#control.close()
    }
    this.#emit({type: 'stopped'})
    return this.#result(remaining)
  }

  async #loop(slots: Slots, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#lastTurnAt = performance.now()
      let pauseMs: number | null
      try {
        const control = await this.#control.get(signal)
        if (!control) return
        pauseMs = await this.#turn(control, slots, signal)
      } catch (error) {
        // Told to stop, it opens no other session; and it may have dropped this one itself.
        if (signal.aborted && isTransient(error)) return
        pauseMs = this.#survive(error)
      }
      if (pauseMs === null) return
      await this.#alarm.wait(pauseMs, signal)
    }
  }

  /** One look around and what follows from it. Returns how long to sleep; null when nothing is left to do. */
  async #turn(control: Database, slots: Slots, signal: AbortSignal): Promise<number | null> {
    if (this.#claimer.hasBacklog && this.#pacing.untilSurveyMs > 0) {
      if (slots.busy > 0) await sleep(GATHER_MS)
      if (signal.aborted) return null
      await this.#claimer.fill(slots, control)
      if (this.#claimer.hasBacklog) return this.#pacing.untilSurveyMs
    }
    // What was in hand then is left out of the survey: when it has ended since, there may be more of its view.
    const wasBusy = slots.busy > 0
    const look = {busyViews: slots.busyViews, unreadable: this.#scheduler.unreadable}
    const surveyor = {keys: this.#sessions.keys, jobIds: slots.jobIds}
    const all = await this.#bounds.look(look.busyViews, (from) =>
      survey(control, {surveyor, ...look, ...from}),
    )
    this.#tell(all)
    const seen = this.#once ? await this.#once.narrow(control, all, look) : all
    const hasEnded = await this.#frozen.end(control, seen.frozenWorkers)
    const isDue = seen.nextScheduleInMs === 0
    const {isUncontended, advanced} = isDue
      ? await this.#queueDue(control, slots, signal)
      : {isUncontended: true, advanced: 0}
    if (signal.aborted) return null
    const claimed = isDue || seen.hasClaimable ? await this.#claimer.fill(slots, control) : 0
    if (this.#options.isOnce) await this.#retention.pruneOnce()
    else this.#retention.start()
    for (const message of control.takeWarnings()) this.#emit({type: 'warning', message})
    if (await this.#scheduler.timeUntimed(control)) this.#lookAgain()
    await this.#control.renewPlans()
    if (await this.#scheduler.mendClockJumps(control)) this.#lookAgain()
    // With nothing to write, a turn proves nothing.
    if (seen.recovered.length + seen.exhausted + advanced + claimed > 0) this.#complaints.clear()
    const after = {freeSlots: slots.free, isIdle: slots.busy === 0}
    if (!isUncontended) seen.nextScheduleInMs = await this.#scheduler.untilNext(control)
    const turn = {seen, isDue, isUncontended, claimed, hasEnded, wasBusy, ...after}
    const pauseMs = this.#pacing.pauseAfter(turn)
    return pauseMs ?? this.#once?.pauseForReadersMs ?? this.#once?.pauseForSessionMs ?? null
  }

  /** Makes jobs of all that is due, unless another worker holds some of it, and fills the slots in between. */
  async #queueDue(
    control: Database,
    slots: Slots,
    signal: AbortSignal,
  ): Promise<{isUncontended: boolean; advanced: number}> {
    const endsAt = performance.now() + LONGEST_QUEUEING_MS
    for (let advanced = 0; ; ) {
      // Whoever is to run them, all jobs are to be made soon: slots are filled between the batches alone.
      this.#claimer.hasBacklog = false
      const batch = await this.#scheduler.run(control, {
        from: this.#bounds.schedulesFrom,
        until: this.#once?.bound?.until ?? null,
      })
      advanced += batch.advanced
      if (!batch.isMore || signal.aborted || performance.now() > endsAt) {
        return {isUncontended: !batch.isContended, advanced}
      }
      this.#lastTurnAt = performance.now()
      await this.#claimer.fill(slots, control)
    }
  }

  #lookAgain(): void {
    this.#pacing.lookAgain()
    this.#alarm.ring()
  }

  /**
   * Until the tables can be trusted again, nothing is written to them: what runs is dropped, since its record would be
   * written in its transaction, and is settled later.
   */
  #distrust(error: AybError): void {
    this.#control.distrust(error)
    this.#slots?.dropAll()
    if (this.#options.isOnce) this.#giveUp.abort()
  }

  /** Goes on after an error where that can help; what only a person can mend is told, and tried again later. */
  #survive(error: unknown): number {
    const isForOthers = isAybError(error, 'READ_ONLY') && this.#options.isOnce
    if (isTransient(error) && !isForOthers) {
      this.#complaints.clear()
      this.#bounds.reset()
      this.#control.lose(error)
      return 0
    }
    if (!isAybError(error)) throw error
    if (error.code === 'UNTRUSTED_TABLE') this.#distrust(error)
    // Whoever runs what is due once tries again himself.
    if (this.#options.isOnce) throw error
    if (error.code !== 'UNTRUSTED_TABLE') this.#complain(error)
    return FAILURE_PAUSE_MS
  }

  /** Tells of an error that only a person can mend, unless that was told a while ago. */
  #complain(error: AybError): void {
    const {message} = error
    if (!isTransient(error) && this.#complaints.isNews(error)) this.#emit({type: 'warning', message})
  }

  #tell(seen: Survey): void {
    for (const {id, view, attempt, workerId, isOwn, state} of seen.recovered) {
      if (state === 'failed') this.#slots?.countFailures(1)
      this.#emit({type: 'job-recovered', jobId: id, view, attempt, workerId, isOwn, state})
    }
    if (seen.exhausted > 0) {
      this.#slots?.countFailures(seen.exhausted)
      this.#emit({type: 'jobs-exhausted', jobs: seen.exhausted})
    }
  }

  #makeSlots(): Slots {
    const {concurrency, refreshTimeoutMs, lockTimeoutMs, lockRetryForMs} = this.#options
    return new Slots(concurrency, this.#sessions, {
      settings: refreshSettings({timeoutMs: refreshTimeoutMs, lockTimeoutMs, lockRetryForMs}),
      emit: this.#emit,
      holders: new LockHolders(),
      patience: new LockPatience(),
      watchLocks: new LockSampler(() => this.#control.current).watch,
      signal: this.#cutOff.signal,
      control: () => this.#control.current,
      reconnect: () => reconnect(this.#open, this.#giveUp.signal),
      claimNext: () => this.#claimer.next(this.#slots),
      onFree: () => this.#alarm.ring(),
      onDistrust: (error) => this.#distrust(error),
    })
  }

  #result(remaining: RemainingJob[]): WorkerResult {
    const none = {claimed: 0, succeeded: 0, failed: 0, retried: 0, skipped: 0}
    return {...none, ...this.#slots?.tally, remaining, warnings: []}
  }
}

/** What told the worker to stop: a signal's name, or a stream that was closed. */
const signalName = (reason: unknown): string =>
  isAybError(reason) ? String(reason.details?.signal ?? reason.message) : messageOf(reason)

const describeServer = ({target, serverVersion}: Session): string =>
  `PostgreSQL ${Math.floor(serverVersion / 10_000)}.${serverVersion % 10_000} at ${target.host}:${target.port}/${target.database}`
