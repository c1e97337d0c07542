import type {Registration} from './registrations.ts'
import type {ErrorRecord, Instant, RefreshMode, ViewName} from './values.ts'

/** What `ayb matviews refresh` answers: the registration as it is after the refresh. */
export interface Refreshed {
  registration: Registration
  /** Of the last try; null where the view was not refreshed. */
  durationMs: number | null
  warnings: string[]
  /** How long the tries before it waited for the lock of the view. */
  lockWaitMs: number
  /** Unchanged: nothing that the view reads has changed since its last refresh, and it was not refreshed. */
  status: 'success' | 'unchanged'
  /** Since when nothing has changed, or why the view is always refreshed; else null. */
  reason: string | null
  /** When ayb looked for changes; null where nobody asked for that. */
  checkedAt: Instant | null
}

/** How a view of a set ended. */
export type SetMemberStatus = 'success' | 'unchanged' | 'error' | 'skipped' | 'canceled'

/** One view of a set of refreshes. */
export interface SetMember {
  /** The registration after the set; if it was removed meanwhile, the registration before the set. */
  registration: Registration
  status: SetMemberStatus
  /** Why the view was not refreshed: `parent failed`, `fail fast` or `unchanged: …`. */
  reason: string | null
  error: ErrorRecord | null
  /** The times of its run in the history; null where the view has none. */
  startedAt: Instant | null
  /** Of the last try. */
  durationMs: number | null
  /** How long earlier tries waited for the lock of the view. */
  lockWaitMs: number | null
}

/** What `ayb matviews refresh` answers for a set of views. */
export interface RefreshedSet {
  /** Parents before their children. */
  refreshes: SetMember[]
  counts: Record<SetMemberStatus, number>
  /** Of the whole set. */
  durationMs: number
  warnings: string[]
}

/** A view that a set would refresh. */
export interface PlannedRefresh {
  registration: Registration
  mode: RefreshMode
  /** How long a refresh of the view usually takes; null where the history does not tell. */
  expectedMs: number | null
  /** The views of the set that are refreshed before this one. */
  parents: ViewName[]
}

/**
 * What `ayb matviews refresh --dry-run` answers. Durations are null where the history tells none of the set.
 */
export interface RefreshPlan {
  waves: PlannedRefresh[][]
  /** The path through the set that takes longest. */
  criticalPath: ViewName[]
  criticalPathMs: number | null
  /** Of the whole set. */
  expectedMs: number | null
  warnings: string[]
}

/** A refresh that was canceled, and whose it was. */
export interface CanceledRefresh {
  /** Of the backend. */
  pid: number
  user: string | null
  application: string | null
  workerId: string | null
  jobId: string | null
  /** Null where this role may not see that. */
  runningMs: number | null
}

/** What `ayb matviews cancel` answers. */
export interface CanceledRefreshes {
  canceled: CanceledRefresh[]
  warnings: string[]
}
