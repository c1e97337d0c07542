import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {type ClaimRequest, claimJobs} from '../../db/queue/claims.ts'
import {type Poll, poll} from '../../db/queue/poll.ts'
import {isAybError} from '../../lib/errors.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {type ControlSession, isTransient} from './control.ts'
import type {FrozenWorkers} from './frozen.ts'
import {advance} from './job-sets.ts'
import type {LowerBounds} from './lower-bounds.ts'
import type {Once} from './once.ts'
import type {Presence} from './presence.ts'
import type {Retention} from './retention.ts'
import type {Rhythm, TurnEnd} from './rhythm.ts'
import type {Scheduler} from './scheduler.ts'
import type {WorkerSessions} from './sessions.ts'
import type {Slots} from './slots.ts'
import {WarningThrottle} from './warning-throttle.ts'

/** While there is a backlog, slots that become free within this time share one claim. */
const GATHER_MS = 1
/** How long due schedules are made into jobs before the next poll. */
const LONGEST_QUEUEING_MS = 5000

/** The parts of a worker that its turns use. */
interface TurnParts {
  leaseMs: number
  rhythm: Rhythm
  bounds: LowerBounds
  sessions: WorkerSessions
  control: ControlSession
  scheduler: Scheduler
  frozen: FrozenWorkers
  retention: Retention
  /** Null for a worker that ends soon. */
  presence: Presence | null
  throttle: WarningThrottle
  /** Null for a worker that runs until it is stopped. */
  once: Once | null
  emit: Emit
  /** Called when something may be due that the poll of this turn has not seen. */
  onNews(): void
  /** Called between the batches of a long turn. */
  onProgress(): void
}

/** The turns of a worker's loop, as drawn in `worker.ts`. */
export class Turns {
  readonly #parts: TurnParts
  /** Sets have their own, since jobs that are no members go on: the success of such a job says nothing. */
  readonly #setThrottle = new WarningThrottle()

  constructor(parts: TurnParts) {
    this.#parts = parts
  }

  /**
   * Takes one turn on the control session. Returns how the turn ended; after an abort the answer says
   * nothing.
   */
  async take(control: Database, slots: Slots, signal: AbortSignal): Promise<TurnEnd> {
    const {rhythm, once, throttle, scheduler, bounds} = this.#parts
    if (rhythm.next === 'sleep') return rhythm.sleepOn()
    if (rhythm.next === 'claim') {
      if (slots.busy > 0) await sleep(GATHER_MS)
      if (signal.aborted) return {as: 'done'}
      await this.#fill(control, slots)
      const end = rhythm.afterClaim()
      if (end) return end
    }
    // The poll leaves out the views in hand. A job that ends while the poll runs may leave another job of its
    // view.
    const wasBusy = slots.busy > 0
    const seen = await this.#poll(control, slots)
    const hasEndedWorkers = await this.#parts.frozen.end(control, seen.frozenWorkers)
    const isDue = seen.nextScheduleInMs === 0
    const queued = isDue ? await this.#queueDue(control, slots, signal) : {isContended: false, schedules: 0}
    if (signal.aborted) return {as: 'done'}
    const claimed = isDue || seen.hasClaimable ? await this.#fill(control, slots) : 0
    await this.#keepHouse(control, seen)
    // A turn without a write does not prove that writes work again.
    if (seen.rescued.length + seen.exhausted + queued.schedules + claimed > 0) throttle.reset()
    if (queued.isContended || (isDue && !once)) {
      // The poll came before the new due times of the schedules.
      const {isContended} = queued
      Object.assign(seen, await scheduler.untilNext(control, {isContended, from: bounds.schedulesFrom}))
    }
    return rhythm.afterPoll({
      seen,
      isDue,
      isContended: queued.isContended,
      claimed,
      hasEndedWorkers,
      wasBusy,
      freeSlots: slots.free,
      isIdle: slots.busy === 0,
      once: once?.facts ?? null,
    })
  }

  /** What a slot claims in the message that ends its job; null where nothing more is known to be due. */
  claimNext(slots: Slots): ClaimRequest | null {
    if (!this.#parts.rhythm.hasBacklog) return null
    slots.passOver()
    return this.#claimFor(1, slots)
  }

  /**
   * Claims a job for each free slot, and starts the jobs. Where two of the jobs are of one view, a slot is still
   * free, so a second claim follows. Returns how many jobs were claimed.
   */
  async #fill(control: Database, slots: Slots): Promise<number> {
    for (let claimed = 0; ; ) {
      const {free} = slots
      slots.passOver()
      if (free === 0) return claimed
      const jobs = await claimJobs(control, this.#claimFor(free, slots))
      claimed += jobs.length
      this.#parts.rhythm.claimed({slots: free, jobs: jobs.length})
      const started = await slots.start(control, jobs)
      // A worker that stops starts no job.
      if (jobs.length < free || started === 0 || started === jobs.length) return claimed
    }
  }

  #claimFor(count: number, {busyViews}: Slots): ClaimRequest {
    const {sessions, leaseMs, bounds, once} = this.#parts
    const notBefore = bounds.claimsFrom(busyViews)
    return {
      slots: count,
      workerId: sessions.workerId,
      leaseMs,
      busyViews,
      notBefore,
      bound: once?.bound ?? null,
    }
  }

  /** Polls, and reports what the poll did to jobs of dead workers. */
  async #poll(control: Database, slots: Slots): Promise<Poll> {
    const {rhythm, sessions, bounds, scheduler, once, emit} = this.#parts
    rhythm.polling()
    slots.passOver()
    const look = {busyViews: slots.busyViews, unreadable: scheduler.unreadable}
    const looksForMoved = scheduler.takeMovedLook()
    const poller = {keys: sessions.keys, jobIds: slots.jobIds}
    const seen = await bounds.poll(look.busyViews, (from) =>
      poll(control, {poller, ...look, ...from, looksForMoved}),
    )
    for (const job of seen.rescued) emit({type: 'job-rescued', ...job})
    if (seen.exhausted > 0) emit({type: 'jobs-exhausted', jobs: seen.exhausted})
    if (seen.hasSetsToAdvance && (await this.#advanceSets(control))) seen.hasClaimable = true
    return once ? once.narrow(control, seen, look) : seen
  }

  /**
   * Moves the sets on that are under way; returns whether that queued jobs. What goes wrong with sets is
   * told, and keeps no other job from its turn.
   */
  async #advanceSets(control: Database): Promise<boolean> {
    const {emit} = this.#parts
    try {
      const hasQueued = await advance(control, 'all', emit)
      this.#setThrottle.reset()
      return hasQueued
    } catch (error) {
      if (isTransient(error) || !isAybError(error) || error.code === 'UNTRUSTED_TABLE') throw error
      const message = `sets of jobs wait: ${error.message}`
      if (this.#setThrottle.isNews(error)) emit({type: 'warning', message})
      return false
    }
  }

  /** Makes jobs of all due schedules that no other worker holds, and fills the slots between the batches. */
  async #queueDue(
    control: Database,
    slots: Slots,
    signal: AbortSignal,
  ): Promise<{isContended: boolean; schedules: number}> {
    const {rhythm, bounds, scheduler, once, onProgress} = this.#parts
    const endsAt = performance.now() + LONGEST_QUEUEING_MS
    for (let schedules = 0; ; ) {
      rhythm.queueing()
      const batch = await scheduler.run(control, {
        from: bounds.schedulesFrom,
        until: once?.bound?.until ?? null,
      })
      schedules += batch.advanced
      if (!batch.isMore || signal.aborted || performance.now() > endsAt) {
        return {isContended: batch.isContended, schedules}
      }
      onProgress()
      await this.#fill(control, slots)
    }
  }

  /** What can wait until the due jobs are started. */
  async #keepHouse(control: Database, {hasMovedPromises}: Poll): Promise<void> {
    const {control: session, presence, retention, scheduler, once, emit, onNews} = this.#parts
    await presence?.say(control)
    if (once) await retention.pruneOnce()
    else retention.start()
    for (const message of control.takeWarnings()) emit({type: 'warning', message})
    if (await scheduler.timeUntimed(control)) onNews()
    if (hasMovedPromises && (await scheduler.mendPromises(control))) onNews()
    await session.renewPlans()
    if (await scheduler.mendClockJumps(control)) onNews()
  }
}
