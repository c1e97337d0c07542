import type {Database} from '../../db/database.ts'
import {
  type Advance,
  advanceSchedules,
  type DueSchedule,
  readDueSchedules,
  type ScheduleTiming,
} from '../../db/due.ts'
import {checkTimezone, nextRun, parseCron} from '../../lib/cron.ts'
import {messageOf} from '../../lib/errors.ts'
import type {Emit} from '../../lib/worker-events.ts'

const BATCH = 500
/** Reading an expression takes the event loop for itself: so many, then everybody else has a turn. */
const CRONS_PER_TURN = 100

/** Turns due schedules into jobs. */
export class Scheduler {
  /** Schedules of other programs whose timing this one cannot read: told of once, then passed over. */
  readonly unreadable: ScheduleTiming[] = []
  readonly #emit: Emit

  constructor(emit: Emit) {
    this.#emit = emit
  }

  /**
   * Queues jobs for the due schedules, one batch of them: what is queued is to run before all are. Returns false where
   * another worker held some of them.
   */
  async run(db: Database): Promise<boolean> {
    const {due, now} = await readDueSchedules(db, BATCH, this.unreadable)
    if (due.length === 0) return true
    const advances = await this.#advances(due, now)
    const {advanced, enqueued} = await advanceSchedules(db, advances)
    if (advanced > 0) this.#emit({type: 'jobs-queued', schedules: advanced, jobs: enqueued})
    return advanced === advances.length
  }

  async #advances(due: readonly DueSchedule[], now: Date): Promise<Advance[]> {
    const advances: Advance[] = []
    for (const [position, schedule] of due.entries()) {
      if (position % CRONS_PER_TURN === CRONS_PER_TURN - 1)
        await new Promise((resolve) => setImmediate(resolve))
      try {
        const next = nextRun(parseCron(schedule.cronExpr), checkTimezone(schedule.timezone), now)
        advances.push({...schedule, next})
      } catch (error) {
        this.#passOver(schedule, error)
      }
    }
    return advances
  }

  #passOver({id, name, cronExpr, timezone}: DueSchedule, error: unknown): void {
    this.unreadable.push({id, cronExpr, timezone})
    this.#emit({type: 'schedule-unreadable', scheduleId: id, name, error: messageOf(error)})
  }
}
