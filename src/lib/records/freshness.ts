import type {Instant, ViewName} from './values.ts'

/** How fresh a view is, worst first. */
export const FRESHNESS_STATES = ['never', 'failing', 'stale', 'overdue', 'fresh', 'unwatched'] as const

export type FreshnessState = (typeof FRESHNESS_STATES)[number]

/** A refresh that runs now: who holds the lock of the view. */
export interface RunningRefresh {
  /** Of the backend; 0 for a prepared transaction. */
  pid: number
  /** Null where this role may not see that. */
  since: Instant | null
  user: string | null
  application: string | null
  workerId: string | null
  jobId: string | null
}

/** How fresh a registered view is, as lists and `ayb matviews show` have it. */
export interface Freshness {
  lastSuccessAt: Instant | null
  lastSuccessDurationMs: number | null
  /** Null where nobody refreshes the view, and on a standby. */
  running: RunningRefresh | null
  /** Whether a refresh should have started more than a minute ago. */
  overdue: boolean
  /** As of when the data is; null where the history does not tell. */
  freshAsOf: Instant | null
  state: FreshnessState
  /** Why the view is in that state; null for fresh. */
  reason: string | null
}

/** One view as `ayb matviews status` lists it. */
export interface ViewStatus extends ViewName {
  id: string
  state: FreshnessState
  /** Why the view is in that state; null for fresh. */
  reason: string | null
  /** Since `freshAsOf`. */
  ageMs: number | null
  /** As of when the data is; null where the history does not tell. */
  freshAsOf: Instant | null
  /** How old the data may be; null where nobody said. */
  maxAgeMs: number | null
  lastSuccessAt: Instant | null
  /** Of the last refresh; null where it did not fail. */
  lastError: string | null
  consecutiveFailures: number
  /** When the earliest enabled schedule refreshes the view next. */
  nextRunAt: Instant | null
  /** Null where nobody refreshes the view, and on a standby. */
  running: RunningRefresh | null
  /** Whether a refresh should have started more than a minute ago. */
  overdue: boolean
}
