import {TIMER_EARLY_MS} from '../../lib/timer.ts'
import type {Pace} from '../refresh/second-session.ts'

interface Due<Look> {
  look: Look
  /** By the clock that is handed in, in milliseconds. */
  dueAt: number
}

/**
 * Says which looks are due, and when the next look is. Has no timers, and the clock is handed in. Keeps the
 * looks in an array, which forgets what it no longer holds: a Map keeps what was deleted in tables that it
 * has outgrown, until the next full garbage collection.
 */
export class DueLooks<Look extends Pace> {
  readonly #looks: Due<Look>[] = []
  readonly #now: () => number

  constructor(now = () => performance.now()) {
    this.#now = now
  }

  add(look: Look): void {
    this.#looks.push({look, dueAt: this.#now() + look.firstMs})
  }

  /** Removes a look for good: an `again` that comes later changes nothing. */
  remove(look: Look): void {
    const position = this.#looks.findIndex((due) => due.look === look)
    if (position !== -1) this.#looks.splice(position, 1)
  }

  get due(): Look[] {
    const latest = this.#now() + TIMER_EARLY_MS
    return this.#looks.filter(({dueAt}) => dueAt <= latest).map(({look}) => look)
  }

  /** How long until a look is due; null where there is no look. */
  get untilDueMs(): number | null {
    let earliest = Number.POSITIVE_INFINITY
    for (const {dueAt} of this.#looks) earliest = Math.min(earliest, dueAt)
    return this.#looks.length === 0 ? null : Math.max(0, earliest - this.#now())
  }

  /** Has the look be due again, from now on, after its interval. */
  again(look: Look): void {
    const due = this.#looks.find((candidate) => candidate.look === look)
    if (due) due.dueAt = this.#now() + look.intervalMs
  }
}
