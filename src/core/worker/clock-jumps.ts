import type {Database} from '../../db/database.ts'
import {
  type Advance,
  type DueSchedule,
  readSchedulesAhead,
  type ScheduleTiming,
  timeSchedules,
} from '../../db/queue/due.ts'
import type {Emit} from '../../lib/worker-events.ts'

/** Between two passes over the schedules. */
const PASS_INTERVAL_MS = 60_000
/** Reading the expressions of a page takes some 20 ms, for which whatever is due may have to wait. */
const PAGE = 200
const PAGE_INTERVAL_MS = 1000
/** Behind its own expression, a schedule may be late by as much: other programs read clock changes in their own way. */
const TOLERANCE_MS = 3_600_000

/**
 * Mends schedules after a server clock that went ahead for a moment: one that came due then has its next run computed from that
 * time, and would be silent until the clock gets there. A next run that lies behind the one that its expression
 * gives by now is computed again. Pages through the schedules, and remembers those that were found right.
 */
export class ClockJumps {
  readonly #emit: Emit
  #nextAt = 0
  #after: {nextRunAt: string; id: string} | null = null
  #lastNow = 0
  /** Versions of rows by id: of the last pass, and of the one that is under way. */
  #known = new Map<string, string>()
  #seen = new Map<string, string>()

  constructor(emit: Emit) {
    this.#emit = emit
  }

  /**
   * Looks at the next page of schedules when it is time. `advance` computes the next runs. Returns whether any schedule
   * was changed.
   */
  async mend(
    db: Database,
    unreadable: readonly ScheduleTiming[],
    advance: (schedules: readonly DueSchedule[], now: Date) => Promise<Advance[]>,
  ): Promise<boolean> {
    if (performance.now() < this.#nextAt) return false
    const {ahead, now} = await readSchedulesAhead(db, this.#after, PAGE, unreadable)
    if (now) this.#noticeClock(now)
    const news = ahead.filter(({id, version}) => this.#known.get(id) !== version)
    const nextRuns = new Map(news.map(({id, nextRunAt}) => [id, Date.parse(nextRunAt)]))
    const wrong = (now && news.length > 0 ? await advance(news, now) : []).filter(
      ({id, next}) => next !== null && (nextRuns.get(id) ?? 0) > next.getTime() + TOLERANCE_MS,
    )
    const changed = new Set(wrong.length > 0 ? await timeSchedules(db, wrong) : [])
    const wrongIds = new Set(wrong.map(({id}) => id))
    for (const {id, version} of ahead) if (!wrongIds.has(id)) this.#seen.set(id, version)
    for (const {id, name, next} of wrong) {
      if (!changed.has(id)) continue
      const was = new Date(nextRuns.get(id) ?? 0).toISOString()
      this.#emit({
        type: 'schedule-retimed',
        scheduleId: id,
        name,
        was,
        nextRunAt: next?.toISOString() ?? null,
      })
    }
    const last = ahead.length === PAGE ? ahead.at(-1) : undefined
    this.#after = last ? {nextRunAt: last.nextRunAt, id: last.id} : null
    this.#nextAt = performance.now() + (last ? PAGE_INTERVAL_MS : PASS_INTERVAL_MS)
    if (!last) {
      this.#known = this.#seen
      this.#seen = new Map()
    }
    return changed.size > 0
  }

  /** What was right by a clock that has been put back since may be wrong. */
  #noticeClock(now: Date): void {
    if (now.getTime() < this.#lastNow) {
      this.#known.clear()
      this.#seen.clear()
    }
    this.#lastNow = now.getTime()
  }
}
