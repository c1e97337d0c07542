/** A schedule comes up at most once a second. */
export const SHORTEST_MS = 1000

/** A minute for long promises, and half a second at least: for the poll, the claim and the network. */
const MARGIN_SHARE = 10
const SHORTEST_MARGIN_MS = 500
const LONGEST_MARGIN_MS = 60_000
/** Looks per promise. */
const LOOKS = 5

const marginOf = (maxAgeMs: number): number =>
  Math.min(Math.max(maxAgeMs / MARGIN_SHARE, SHORTEST_MARGIN_MS), LONGEST_MARGIN_MS)

/**
 * From the start of one refresh to the start of the next, in milliseconds, so that the data never gets older
 * than promised: the age less the usual duration of a refresh, and less a margin.
 */
export const refreshIntervalMs = (maxAgeMs: number, usualMs: number): number =>
  Math.max(maxAgeMs - usualMs - marginOf(maxAgeMs), SHORTEST_MS)

/** From one look for changes to the next, in milliseconds. */
export const lookIntervalMs = (maxAgeMs: number): number => Math.max(maxAgeMs / LOOKS, SHORTEST_MS)

/** Whether refreshes that take that long can keep the promise. */
export const isKeepable = (maxAgeMs: number, usualMs: number): boolean =>
  maxAgeMs - usualMs - marginOf(maxAgeMs) >= SHORTEST_MS

/** What there is to know of a schedule that promises an age, when it comes up. Times in milliseconds. */
export interface PromiseFacts {
  maxAgeMs: number
  /** How long a refresh of the view usually takes; 0 where nobody knows. */
  usualMs: number
  /** How long ago the last success began; null where there is none. */
  ageMs: number | null
  /** Whether the view is to be skipped while nothing has changed. */
  hasLooks: boolean
  /** Whether a job of the schedule is queued or runs, or a set is under way. */
  isLive: boolean
}

/** How long until the data has to be refreshed; 0 or less: now. */
export const untilDueMs = ({maxAgeMs, usualMs, ageMs}: Omit<PromiseFacts, 'hasLooks' | 'isLive'>): number =>
  ageMs === null || ageMs < 0 ? 0 : refreshIntervalMs(maxAgeMs, usualMs) - ageMs

/** Whether a job is to be queued now, and when the schedule comes up again. */
export function nextTurn(facts: PromiseFacts): {isQueued: boolean; nextInMs: number} {
  const {maxAgeMs, usualMs, hasLooks, isLive} = facts
  const dueInMs = untilDueMs(facts)
  const intervalMs = refreshIntervalMs(maxAgeMs, usualMs)
  const lookMs = hasLooks ? lookIntervalMs(maxAgeMs) : intervalMs
  // A job may fail for good, or take longer than usual: the next one follows soon behind it.
  const behindJobMs = Math.min(lookMs, Math.max(intervalMs / 10, SHORTEST_MS))
  if (isLive) return {isQueued: false, nextInMs: behindJobMs}
  if (dueInMs <= 0) return {isQueued: true, nextInMs: behindJobMs}
  return hasLooks
    ? {isQueued: true, nextInMs: Math.min(lookMs, dueInMs)}
    : {isQueued: false, nextInMs: dueInMs}
}

/**
 * Counters of changes show a commit up to so much later: a look that finds nothing proves nothing of the time
 * since.
 */
const COUNTERS_LAG_MS = 11_000

/**
 * Whether a look that finds nothing keeps the promise until the next look without a refresh: it proves the
 * data of eleven seconds ago.
 */
export const isLookEnough = (maxAgeMs: number, usualMs: number): boolean =>
  maxAgeMs >= COUNTERS_LAG_MS + lookIntervalMs(maxAgeMs) + usualMs + marginOf(maxAgeMs)

const MINUTES = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30]
const HOURS = [1, 2, 3, 4, 6, 8, 12]
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** The cron expression of five fields that comes nearest, not rarer than the age where there is one. */
export function nearestCron(maxAgeMs: number): string {
  const last = (steps: readonly number[], unitMs: number) =>
    steps.filter((step) => step * unitMs <= maxAgeMs).at(-1) ?? 1
  if (maxAgeMs < HOUR_MS) {
    const minutes = last(MINUTES, MINUTE_MS)
    return minutes === 1 ? '* * * * *' : `*/${minutes} * * * *`
  }
  if (maxAgeMs < DAY_MS) {
    const hours = last(HOURS, HOUR_MS)
    return hours === 1 ? '0 * * * *' : `0 */${hours} * * *`
  }
  if (maxAgeMs < 7 * DAY_MS) return '0 0 * * *'
  return maxAgeMs < 31 * DAY_MS ? '0 0 * * 0' : '0 0 1 * *'
}
