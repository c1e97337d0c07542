import {formatDuration} from '../../lib/duration.ts'
import type {FreshnessState} from '../../lib/records/freshness.ts'

/** What decides how fresh a view is. Times in milliseconds since 1970. */
export interface Evidence {
  exists: boolean
  isPopulated: boolean
  hasFailed: boolean
  consecutiveFailures: number
  lastSuccessStartedAtMs: number | null
  /** As of when the data is; null where that is unknown. */
  freshAsOfMs: number | null
  maxAgeMs: number | null
  /** The name of a parent that was refreshed after this view; null for none. */
  newerParent: string | null
  hasSchedule: boolean
  dueAtMs: number | null
  /** How late a view may be before it counts as overdue. */
  graceMs: number
}

/** The state of a view, and why. */
export interface Judgement {
  state: FreshnessState
  reason: string | null
  overdue: boolean
  /** Whether the data is too old, or older than that of a parent, whatever the state. */
  isStale: boolean
}

/** The first state that holds, worst first. */
export function judge(evidence: Evidence, nowMs: number): Judgement {
  const {dueAtMs, graceMs} = evidence
  const lateMs = dueAtMs === null ? 0 : nowMs - dueAtMs
  const overdue = lateMs > graceMs
  const why = staleReason(evidence, nowMs)
  const {state, reason} = stateOf(evidence, why, overdue ? lateMs : null)
  return {state, reason, overdue, isStale: why !== null}
}

/** Why the data is stale; null where it is not, or where there is none. */
function staleReason(evidence: Evidence, nowMs: number): string | null {
  const {lastSuccessStartedAtMs, freshAsOfMs, maxAgeMs, newerParent} = evidence
  if (lastSuccessStartedAtMs === null) return null
  // Where nobody knows as of when the data is, it is at least as old as the refresh.
  const ageMs = nowMs - (freshAsOfMs ?? lastSuccessStartedAtMs)
  if (maxAgeMs !== null && ageMs > maxAgeMs) return `older than ${formatDuration(maxAgeMs)}`
  return newerParent === null ? null : `${newerParent} was refreshed since`
}

function stateOf(
  evidence: Evidence,
  whyStale: string | null,
  lateMs: number | null,
): Pick<Judgement, 'state' | 'reason'> {
  const {exists, isPopulated, hasFailed, consecutiveFailures, lastSuccessStartedAtMs, maxAgeMs} = evidence
  if (lastSuccessStartedAtMs === null || (exists && !isPopulated)) {
    return {state: 'never', reason: neverReason(evidence)}
  }
  if (!exists) return {state: 'failing', reason: GONE}
  if (hasFailed) return {state: 'failing', reason: failures(consecutiveFailures)}
  if (whyStale !== null) return {state: 'stale', reason: whyStale}
  if (lateMs !== null) return {state: 'overdue', reason: `a refresh was due ${formatDuration(lateMs)} ago`}
  if (maxAgeMs === null && !evidence.hasSchedule) {
    return {state: 'unwatched', reason: 'no enabled schedule, and no limit for its age'}
  }
  return {state: 'fresh', reason: null}
}

const GONE = 'the view is gone'

function neverReason({exists, isPopulated, hasFailed, consecutiveFailures}: Evidence): string {
  if (!exists) return GONE
  if (hasFailed) return failures(consecutiveFailures)
  return isPopulated ? 'no refresh has succeeded' : 'the view holds no data'
}

const failures = (count: number): string =>
  count > 1 ? `the last ${count} refreshes failed` : 'the last refresh failed'
