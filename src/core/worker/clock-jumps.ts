import type {Database} from '../../db/database.ts'
import {type Advance, timeSchedules} from '../../db/queue/advance.ts'
import {type DueSchedule, readSchedulesAhead, type ScheduleTiming} from '../../db/queue/due.ts'
import type {Emit} from '../../lib/worker-events.ts'

/** Pause between two passes over the schedules. */
const PASS_INTERVAL_MS = 60_000
/** Parsing the expressions of a page takes some 20 ms, in which nothing else can start. */
const PAGE = 200
const PAGE_INTERVAL_MS = 1000
/** How far a next run may lie behind the expression: other programs treat clock changes in other ways. */
const TOLERANCE_MS = 3_600_000

/**
 * Repairs schedules after the server's clock went ahead for a moment. A schedule that came due at such a
 * moment has a next run that is computed from the wrong time, and would not run until the clock gets there.
 * Each pass pages through the schedules, computes such next runs again, and remembers the schedules that were
 * right.
 */
export class ClockJumps {
  readonly #emit: Emit
  #nextAt = 0
  #after: {nextRunAt: string; id: string} | null = null
  #lastNow = 0
  /** Versions of rows by id: from the last pass, and from the current pass. */
  #known = new Map<string, string>()
  #seen = new Map<string, string>()

  constructor(emit: Emit) {
    this.#emit = emit
  }

  /**
   * Checks the next page of schedules when it is time; `advance` computes next runs. Returns whether any
   * changed.
   */
  async mend(
    db: Database,
    unreadable: readonly ScheduleTiming[],
    advance: (schedules: readonly DueSchedule[], now: Date) => Promise<Advance[]>,
  ): Promise<boolean> {
    if (performance.now() < this.#nextAt) return false
    const {ahead, now} = await readSchedulesAhead(db, this.#after, PAGE, unreadable)
    if (now) this.#noticeClock(now)
    // Schedules with a promise have a next run that is not in their expression.
    const timed = ahead.filter(({maxAgeMs}) => maxAgeMs === null)
    const news = timed.filter(({id, version}) => this.#known.get(id) !== version)
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

  /** When the clock was put back, schedules that were right before may be wrong now. */
  #noticeClock(now: Date): void {
    if (now.getTime() < this.#lastNow) {
      this.#known.clear()
      this.#seen.clear()
    }
    this.#lastNow = now.getTime()
  }
}
