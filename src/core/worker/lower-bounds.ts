import type {Poll, PollBounds} from '../../db/queue/poll.ts'

/** A poll that takes longer than this reads dead index entries: the next polls begin behind these entries. */
const SLOW_LOOK_MS = 50
/** Polls that read everything take at most one part in so many of the worker's time. */
const FULL_LOOK_SHARE = 50
/** A row that another program writes with a time in the past is seen after this long at the latest. */
const LONGEST_BETWEEN_FULL_LOOKS_MS = 60_000

/** Where a poll begins to read; null for everywhere. */
export interface PollFrom {
  from: PollBounds | null
  freeFrom: string | null
}

/**
 * Lower bounds for the times that polls and claims read, in memory. Without them, each poll and each claim
 * rescans the dead index entries that an old snapshot keeps alive: one for each job that was ever queued, and
 * for each time that was ever due. A row can still appear before a bound: a job that is returned, or a row
 * that a person writes. Full polls read everything and find such rows. While full polls are fast, each poll
 * is full; when they are slow, they are rare.
 */
export class LowerBounds {
  readonly #isAlwaysFull: boolean
  readonly #now: () => number
  #bounds: PollBounds | null = null
  /** All jobs that are due before `until` are of these views. */
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

  /** Has `run` poll from where the poll may begin, and learns from the answer. */
  async poll(busyViews: readonly string[], run: (from: PollFrom) => Promise<Poll>): Promise<Poll> {
    const startedAt = this.#now()
    const isFull = this.#isAlwaysFull || this.#bounds === null || startedAt >= this.#nextFullLookAt
    // Until the poll ends, claims keep the bounds of the poll before.
    const from = isFull ? null : this.#bounds
    const seen = await run({from, freeFrom: isFull ? null : this.#passedFor(busyViews)})
    if (isFull) {
      this.#passed = null
      this.#nextFullLookAt = this.#now() + pauseAfter(this.#now() - startedAt)
    }
    this.#learn(seen, busyViews)
    return seen
  }

  /** Forgets everything: the next server may be another one. */
  reset(): void {
    this.#bounds = null
    this.#passed = null
    this.#notBefore = null
  }

  /** A lower bound for the times of due schedules, from the last poll; null when not known. */
  get schedulesFrom(): string | null {
    return this.#bounds?.schedules ?? null
  }

  /** A lower bound for the due times of jobs that are not of these views; null when not known. */
  claimsFrom(busyViews: readonly string[]): string | null {
    return this.#passedFor(busyViews) ?? this.#notBefore
  }

  #passedFor(busyViews: readonly string[]): string | null {
    const passed = this.#passed
    return passed?.views.every((view) => busyViews.includes(view)) ? passed.until : null
  }

  #learn(seen: Poll, busyViews: readonly string[]): void {
    const {bounds, oldestDue} = seen
    this.#bounds = bounds
    // A due schedule becomes a job with the same due time, which may be earlier than that of the oldest job.
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

/** Instants are ISO 8601, or '-infinity', which sorts before all others. */
const earliest = (instants: readonly string[]): string => [...instants].sort()[0] as string
