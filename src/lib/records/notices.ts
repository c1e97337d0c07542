import type {FreshnessState} from './freshness.ts'
import type {Instant} from './values.ts'

/** What a notice tells of: the state of a view has changed for the worse, or for the better. */
type NoticeType = 'view.failing' | 'view.stale' | 'view.overdue' | 'view.recovered'

/** What a webhook gets as its body, and a command on stdin. */
export interface Notice {
  /** `notify.test` is a test, and tells of no view. */
  type: NoticeType | 'notify.test'
  timestamp: Instant
  data: NoticeData
}

/** Null stands for what is unknown; in a test, for everything about a database. */
export interface NoticeData {
  /** `fresh` or `unwatched` once the view has recovered. */
  state: FreshnessState
  /** As the last notice about the view had it; null where there was none. */
  previousState: FreshnessState | null
  database: string | null
  /** Of the database server. */
  host: string | null
  schemaName: string | null
  viewName: string | null
  /** Since when the view is in that state. */
  since: Instant | null
  lastSuccessAt: Instant | null
  maxAgeMs: number | null
  consecutiveFailures: number
  /** Null where the view is not failing. */
  error: {code: string; message: string} | null
  /** The name of the enabled schedule that refreshes the view next. */
  schedule: string | null
}

/** One try to deliver a notice. */
export interface NoticeDelivery {
  target: NotifyTarget
  ok: boolean
  /** The HTTP status or the exit code; null where there was neither. */
  status: number | null
  durationMs: number
  error: string | null
}

export type NotifyTarget = 'webhook' | 'command'

/** What `ayb notify test` answers. */
export interface NotifyTest {
  deliveries: NoticeDelivery[]
  warnings: string[]
}
