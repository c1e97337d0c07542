import type {Instant, RefreshMode, ViewName} from './values.ts'

export type RunStatus = 'success' | 'error' | 'canceled' | 'skipped'

/** One attempt at a refresh: one row of `_ayb_matview_refresh_runs`. */
export interface Run extends ViewName {
  id: string
  refreshMode: RefreshMode
  trigger: 'manual' | 'schedule'
  jobId: string | null
  workerId: string | null
  startedAt: Instant
  durationMs: number | null
  status: RunStatus
  error: string | null
  sizeBytes: number | null
  /**
   * How long the refresh waited for the lock of the view before its last try; null for runs of older
   * programs.
   */
  lockWaitMs: number | null
  /** The settings of Postgres that the refresh had by itself, by name; null where it had none. */
  settings: Record<string, string> | null
  /** Why the refresh was not as asked for, such as in standard mode for auto; null where it was. */
  reason: string | null
}
