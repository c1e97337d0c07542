import type {Survey, SurveyBounds} from '../../db/queue/survey.ts'

/** A look that takes longer than this reads the traces of what was done before: the next ones begin behind them. */
const SLOW_LOOK_MS = 50
/** Looks at everything take one part in so many of the worker's time. */
const FULL_LOOK_SHARE = 50
/** At the latest, what another program has written into the past is seen after this long. */
const LONGEST_BETWEEN_FULL_LOOKS_MS = 60_000

/** Where a look is to begin; null for everywhere. */
export interface LookFrom {
  from: SurveyBounds | null
  freeFrom: string | null
}

/**
 * Where looks and claims begin to read, in memory. While somebody holds an old snapshot, Postgres keeps the index entry of
 * each job that was ever queued and of each time that was ever due, and whoever reads from the beginning steps over all of
 * them. A row can still appear before a bound: a job that is given back, or a row that somebody writes by hand. Looks at
 * everything find these rows. Where such looks are fast, each look is one; where they are slow, they are rare.
 */
export class LowerBounds {
  readonly #isAlwaysFull: boolean
  readonly #now: () => number
  #bounds: SurveyBounds | null = null
  /** All jobs that are due before then are of these views. */
  #passed: {views: readonly string[]; until: string} | null = null
  #notBefore: string | null = null
  #nextFullLookAt = 0

  /** With `isAlwaysFull`, each poll reads everything. */
  constructor({
    isAlwaysFull = false,
    now = () => performance.now(),
  }: {isAlwaysFull?: boolean; now?: () => number} = {}) {
    this.#isAlwaysFull = isAlwaysFull
    this.#now = now
  }

  /** Runs a look around from where it is to begin, and learns from it. */
  async look(busyViews: readonly string[], run: (from: LookFrom) => Promise<Survey>): Promise<Survey> {
    const startedAt = this.#now()
    const isFull = this.#isAlwaysFull || this.#bounds === null || startedAt >= this.#nextFullLookAt
    // Until it ends, claims go on from where they did.
    const from = isFull ? null : this.#bounds
    const seen = await run({from, freeFrom: isFull ? null : this.#passedFor(busyViews)})
    if (isFull) {
      this.#passed = null
      this.#nextFullLookAt = this.#now() + pauseAfter(this.#now() - startedAt)
    }
    this.#learn(seen, busyViews)
    return seen
  }

  /** Forgets all, as for another server. */
  reset(): void {
    this.#bounds = null
    this.#passed = null
    this.#notBefore = null
  }

  /** When the oldest due schedule was due that the last look has seen. */
  get schedulesFrom(): string | null {
    return this.#bounds?.schedules ?? null
  }

  /** When the oldest job was due that a claim may find, which leaves out those views; null where that is not known. */
  claimsFrom(busyViews: readonly string[]): string | null {
    return this.#passedFor(busyViews) ?? this.#notBefore
  }

  #passedFor(busyViews: readonly string[]): string | null {
    const passed = this.#passed
    return passed?.views.every((view) => busyViews.includes(view)) ? passed.until : null
  }

  #learn(seen: Survey, busyViews: readonly string[]): void {
    const {bounds, oldestDue} = seen
    this.#bounds = bounds
    // What becomes a job now was due when its schedule was, which may be before the oldest job.
    const dueAt = seen.nextScheduleInMs === 0 ? seen.nextScheduleAt : null
    const known = [oldestDue ?? bounds.jobs, ...(dueAt === null ? [] : [dueAt])]
    this.#notBefore = earliest(known)
    if (busyViews.length > 0) this.#passed = {views: busyViews, until: seen.freeFrom}
    if (this.#passed && dueAt !== null) {
      this.#passed = {...this.#passed, until: earliest([this.#passed.until, dueAt])}
    }
  }
}

const pauseAfter = (tookMs: number): number =>
  tookMs < SLOW_LOOK_MS ? 0 : Math.min(tookMs * FULL_LOOK_SHARE, LONGEST_BETWEEN_FULL_LOOKS_MS)

/** Of instants in ISO 8601 and '-infinity', which sorts before all of them. */
const earliest = (instants: readonly string[]): string => [...instants].sort()[0] as string
