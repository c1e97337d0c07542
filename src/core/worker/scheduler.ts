import type {Database} from '../../db/database.ts'
import {readPromises} from '../../db/promises.ts'
import {type Advance, advanceSchedules, timeSchedules} from '../../db/queue/advance.ts'
import {
  type DueSchedule,
  type DueWindow,
  readDueSchedules,
  readMovedPromises,
  readUntimedSchedules,
  type ScheduleTiming,
  type UntilNext,
  untilNext,
} from '../../db/queue/due.ts'
import {parseCron} from '../../lib/cron.ts'
import {messageOf} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {nextTurn} from '../../lib/promise.ts'
import {hasPolicy, NO_POLICY} from '../../lib/schedule-policy.ts'
import {startOf} from '../../lib/schedule-start.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {nextRunOf} from '../next-run.ts'
import {setsBelow} from '../promised-set.ts'
import {ClockJumps} from './clock-jumps.ts'

const BATCH = 500
/** Parsing expressions blocks the event loop: after so many, other work has a turn. */
const CRONS_PER_TURN = 25
/** How often to look for enabled schedules without a next run, which only other programs leave behind. */
const UNTIMED_INTERVAL_MS = 60_000

/** How often to look for schedules with a promise whose next run another program has set. */
const MOVED_INTERVAL_MS = 2000

/** Turns due schedules into jobs. */
export class Scheduler {
  /** Schedules of other programs whose timing cannot be parsed: reported once, then skipped. */
  readonly unreadable: ScheduleTiming[] = []
  readonly #emit: Emit
  readonly #clockJumps: ClockJumps
  #untimedAt = 0
  #movedAt = 0

  constructor(emit: Emit) {
    this.#emit = emit
    this.#clockJumps = new ClockJumps(emit)
    // The first use of a time zone loads the rules, so that no due schedule has to wait for that.
    nextRunOf({cronExpr: '0 0 * * *', timezone: 'UTC'}, new Date())
  }

  /**
   * Queues jobs for one batch of due schedules, so that these jobs can start before all schedules are done.
   * Reads schedules from `from` on, and leaves alone schedules that became due after `until`. Returns how
   * many schedules were moved on, whether another worker held some of the batch, and whether more may be due.
   */
  async run(
    db: Database,
    window: DueWindow = {},
  ): Promise<{advanced: number; isContended: boolean; isMore: boolean}> {
    const {due, now} = await readDueSchedules(db, BATCH, this.unreadable, window)
    if (due.length === 0) return {advanced: 0, isContended: false, isMore: false}
    const advances = await this.#advances(db, due, now, {isDue: true})
    const {advanced, enqueued, missed} = await advanceSchedules(db, advances)
    for (const {id: scheduleId, name, due: dueAt} of advances) {
      if (missed.includes(scheduleId)) {
        this.#emit({type: 'run-missed', scheduleId, name, dueAt: dueAt?.toISOString() ?? null})
      }
    }
    if (advanced > 0) this.#emit({type: 'jobs-queued', schedules: advanced, jobs: enqueued})
    const isContended = advanced < advances.length
    return {advanced, isContended, isMore: advanced > 0 && due.length === BATCH}
  }

  /**
   * When the next schedule and the next job are due. Where another worker holds due schedules, these do not
   * count. No schedule is due before `from`, as far as is known.
   */
  untilNext(db: Database, options: {isContended: boolean; from: string | null}): Promise<UntilNext> {
    return untilNext(db, this.unreadable, options)
  }

  /** Once a minute, computes the next run of schedules without one. Returns whether there were any. */
  async timeUntimed(db: Database): Promise<boolean> {
    if (performance.now() < this.#untimedAt) return false
    this.#untimedAt = performance.now() + UNTIMED_INTERVAL_MS
    let timed = 0
    for (;;) {
      const {due: untimed, now} = await readUntimedSchedules(db, BATCH, this.unreadable)
      const known = this.unreadable.length
      const advances = (await this.#advances(db, untimed, now, {isDue: false})).filter(
        ({next}) => next !== null,
      )
      const ids = new Set(advances.length > 0 ? await timeSchedules(db, advances) : [])
      for (const {id, name, next} of advances) {
        if (!ids.has(id)) continue
        this.#emit({type: 'schedule-timed', scheduleId: id, name, nextRunAt: next?.toISOString() ?? null})
      }
      timed += ids.size
      // Rows that another session holds are left for the next minute.
      const isMore = untimed.length >= BATCH && (ids.size > 0 || this.unreadable.length > known)
      if (!isMore) return timed > 0
    }
  }

  /** Whether the next poll looks for schedules with a promise whose next run another program has set. */
  takeMovedLook(): boolean {
    if (performance.now() < this.#movedAt) return false
    this.#movedAt = performance.now() + MOVED_INTERVAL_MS
    return true
  }

  /**
   * Gives schedules with a promise the next run that keeps the promise, where another program has set one.
   * Returns whether there were any.
   */
  async mendPromises(db: Database): Promise<boolean> {
    const {due: moved, now} = await readMovedPromises(db, BATCH)
    if (now === null) return false
    const advances = await this.#advances(db, moved, now, {isDue: false})
    return (await timeSchedules(db, advances)).length > 0
  }

  /**
   * Looks now and then for schedules with a next run that is too far ahead. Returns whether there were any.
   */
  async mendClockJumps(db: Database): Promise<boolean> {
    return this.#clockJumps.mend(db, this.unreadable, (schedules, now) =>
      this.#advances(db, schedules, now, {isDue: false}),
    )
  }

  async #advances(
    db: Database,
    due: readonly DueSchedule[],
    now: Date,
    {isDue}: {isDue: boolean},
  ): Promise<Advance[]> {
    const advances: Advance[] = []
    const promising = due.filter(({maxAgeMs}) => maxAgeMs !== null).map(({id}) => id)
    const promises = await readPromises(db, promising)
    const sets = await setsBelow(
      db,
      [...promises.values()].flatMap(({dependent}) => dependent ?? []),
    )
    // Many schedules share an expression, such as every full hour.
    const known = new Map<string, Date | null>()
    for (const [position, schedule] of due.entries()) {
      if (position % CRONS_PER_TURN === CRONS_PER_TURN - 1)
        await new Promise((resolve) => setImmediate(resolve))
      const promise = promises.get(schedule.id)
      try {
        if (promise) {
          const ofSet = promise.dependent && sets.get(qualifiedName(promise.dependent))
          const {isQueued, nextInMs} = nextTurn({...promise, ...ofSet})
          // Where no job can be queued here, the schedule is due at once.
          const waitMs = isQueued && !isDue ? 0 : nextInMs
          const start = isDue ? startingOf(withoutJitter(schedule), now) : {}
          advances.push({
            ...schedule,
            next: new Date(now.getTime() + waitMs),
            isWithoutJob: !isQueued,
            ...start,
          })
          continue
        }
        const timing = `${schedule.cronExpr}\n${schedule.timezone}`
        let next = known.get(timing)
        if (next === undefined) {
          next = nextRunOf(schedule, now)
          known.set(timing, next)
        }
        advances.push({...schedule, next, ...(isDue ? startingOf(schedule, now) : {})})
      } catch (error) {
        this.#passOver(schedule, error, {isDue})
      }
    }
    return advances
  }

  #passOver(schedule: DueSchedule, error: unknown, {isDue}: {isDue: boolean}): void {
    const {id, name, cronExpr, timezone} = schedule
    this.unreadable.push({id, cronExpr, timezone})
    this.#emit({type: 'schedule-unreadable', scheduleId: id, name, error: messageOf(error), isDue})
  }
}

/** Of a schedule with a promise only the quiet times count: it is due when the data gets too old. */
const withoutJitter = ({policy, ...schedule}: DueSchedule): DueSchedule => ({
  ...schedule,
  policy: {...NO_POLICY, notDuring: policy.notDuring},
})

/** When the run of a schedule that is due begins; nothing where that is at once. */
function startingOf({policy, due, ...schedule}: DueSchedule, now: Date): Pick<Advance, 'start'> {
  if (due === null || !hasPolicy(policy)) return {}
  return {start: startOf({...schedule, ...policy}, parseCron(schedule.cronExpr), due, now)}
}
