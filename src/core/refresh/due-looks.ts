/** How often to look at something, in milliseconds. */
export interface Pace {
  firstMs: number
  /** From the end of a look to the next look. */
  intervalMs: number
}

/** A timer of Node can fire a millisecond early. */
const EARLY_MS = 1

/** Says which look is due, and when the next look is. Has no timers, and the clock is handed in. */
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

  has(look: Look): boolean {
    return this.#dueAt.has(look)
  }

  /** The looks that are due, the longest due first: a slow look must not keep others from their turn. */
  get due(): Look[] {
    const latest = this.#now() + EARLY_MS
    return [...this.#dueAt]
      .filter(([, dueAt]) => dueAt <= latest)
      .sort(([, a], [, b]) => a - b)
      .map(([look]) => look)
  }

  /** How long until a look is due; null where there is no look. */
  get untilDueMs(): number | null {
    if (this.#dueAt.size === 0) return null
    return Math.max(0, Math.min(...this.#dueAt.values()) - this.#now())
  }

  /** Has the look be due again, from now on, after its interval or the time given. */
  again(look: Look, pauseMs = look.intervalMs): void {
    if (this.#dueAt.has(look)) this.#dueAt.set(look, this.#now() + pauseMs)
  }
}
