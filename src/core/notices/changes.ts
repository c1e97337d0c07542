import type {ToldState} from '../../db/notices.ts'
import type {FreshnessState} from '../../lib/records/freshness.ts'
import type {JudgedView} from '../freshness/judged.ts'

/** The states that a notice can tell of. */
type NoticeState = Extract<FreshnessState, 'failing' | 'stale' | 'overdue' | 'fresh' | 'unwatched'>

/** After so many notices about a view within an hour, its recovery is told later. */
const MOST_RECENT = 5

/** A view that has been older than one of its parents for a while. */
export interface Behind {
  /** Since when, in milliseconds since 1970. */
  sinceMs: number
  /** Whether a refresh of the view is running, queued, or waits for its turn in a set. */
  isAwaited: boolean
}

export const isWell = (state: FreshnessState): boolean => state === 'fresh' || state === 'unwatched'

/**
 * The state of a view as notices tell it; null where there is nothing to tell: the view is neither well, nor
 * has it failed so many times in a row. A view that is older than a parent does not count as stale while its
 * own refresh is on the way.
 */
export function noticeState(
  {state, overdue, facts, freshAsOfMs, maxAgeMs}: JudgedView,
  {nowMs, after, behind}: {nowMs: number; after: number; behind: Behind | null},
): NoticeState | null {
  const {hasFailed, consecutiveFailures, lastSuccessStartedAtMs} = facts
  if (state === 'failing' && !facts.exists) return 'failing'
  if (hasFailed && consecutiveFailures >= after) return 'failing'
  const asOfMs = freshAsOfMs ?? lastSuccessStartedAtMs
  if (maxAgeMs !== null && asOfMs !== null && nowMs - asOfMs > maxAgeMs) return 'stale'
  if (behind !== null && !behind.isAwaited) return 'stale'
  if (overdue) return 'overdue'
  if (behind !== null) return null
  if (state === 'failing' || state === 'never') return null
  return state === 'stale' ? 'fresh' : state
}

/**
 * The state to tell, where it differs from what was told before; null for nothing. A view that keeps changing
 * is told to be unwell at once, but its recovery, and how its trouble changes, not before it is calmer.
 */
export function newsOf(state: NoticeState | null, told: ToldState | null): NoticeState | null {
  if (state === null) return null
  const wasWell = told === null || isWell(told.state)
  if (wasWell) return isWell(state) ? null : state
  if (state === told.state || told.recent >= MOST_RECENT) return null
  return state
}
