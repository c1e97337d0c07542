import {TIMER_EARLY_MS} from '../../lib/timer.ts'
import type {Pace} from '../refresh/second-session.ts'

/** Says which looks are due, and when the next look is. Has no timers, and the clock is handed in. */
export class DueLooks<Look extends Pace> {
  readonly #dueAt = new Map<Look, number>()
  readonly #now: () => number

  constructor(now = () => performance.now()) {
    this.#now = now
  }

  add(look: Look): void {
    this.#dueAt.set(look, this.#now() + look.firstMs)
  }

  /** Removes a look for good: an `again` that comes later changes nothing. */
  remove(look: Look): void {
    this.#dueAt.delete(look)
  }

  get due(): Look[] {
    const latest = this.#now() + TIMER_EARLY_MS
    return [...this.#dueAt].filter(([, dueAt]) => dueAt <= latest).map(([look]) => look)
  }

  /** How long until a look is due; null where there is no look. */
  get untilDueMs(): number | null {
    if (this.#dueAt.size === 0) return null
    return Math.max(0, Math.min(...this.#dueAt.values()) - this.#now())
  }

  /** Has the look be due again, from now on, after its interval. */
  again(look: Look): void {
    if (this.#dueAt.has(look)) this.#dueAt.set(look, this.#now() + look.intervalMs)
  }
}
