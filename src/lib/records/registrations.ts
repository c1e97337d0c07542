import type {Freshness} from './freshness.ts'
import type {Run} from './runs.ts'
import type {Schedule} from './schedules.ts'
import type {ErrorRecord, Instant, RefreshMode, ViewName} from './values.ts'
import type {View} from './views.ts'

/**
 * What was asked for the refreshes of a view, beside its mode: one row of `_ayb_matview_policies`. Durations
 * in milliseconds; null where nobody asked.
 */
export interface ViewPolicy {
  /** `auto`, or null where the mode of the registration is the one that was asked for. */
  mode: 'auto' | null
  maxAgeMs: number | null
  skipUnchanged: boolean
  refreshAtLeastEveryMs: number | null
  /** Settings of Postgres for REFRESH, by name. */
  settings: Record<string, string>
  refreshTimeoutMs: number | null
  lockTimeoutMs: number | null
  lockRetryForMs: number | null
}

/** A materialized view that ayb looks after: one row of `_ayb_matview_refreshes`. */
export interface Registration extends ViewName {
  id: string
  /** The mode of the next refresh; where the policy says auto, the mode that works now. */
  refreshMode: RefreshMode
  lastRefreshAt: Instant | null
  lastRefreshDurationMs: number | null
  lastRefreshStatus: 'success' | 'error' | null
  lastRefreshError: string | null
  createdAt: Instant
  updatedAt: Instant
  /** Null where nothing was asked for. */
  policy: ViewPolicy | null
}

/** A registered view that has another name now. */
export interface RenamedView {
  from: ViewName
  to: ViewName
}

/** The part of a registration that a refresh needs. */
export type RefreshTarget = Pick<Registration, 'id' | 'schemaName' | 'viewName' | 'refreshMode' | 'policy'>

/** A registration, whether its view is there, and its next run. */
export interface FoundRegistration extends Registration {
  /** Whether a materialized view of that name is still there. */
  exists: boolean
  /** When the earliest enabled schedule refreshes it next. */
  nextRunAt: Instant | null
}

/** A registration as lists show it. */
export interface ListedRegistration extends FoundRegistration, Freshness {}

/** A registration as the API lists it. */
export interface RegistrationItem extends ListedRegistration {
  /** The new name of a renamed view, as on a command line. */
  renamedTo: string | null
}

/** What `ayb matviews register` answers. */
export interface Registered {
  registration: Registration
  /** False when `--if-not-exists` found it registered already. */
  created: boolean
  warnings: string[]
}

/** What `ayb matviews update` and `unregister` answer. */
export interface RegistrationDocument {
  registration: Registration
  warnings: string[]
}

/** What `ayb matviews unregister --missing` answers: the registrations as they were. */
export interface RegistrationsDocument {
  registrations: Registration[]
  warnings: string[]
}

/** What `ayb matviews relink` answers. */
export interface Relinked {
  registration: Registration
  /** The name that the view was registered under before. */
  previous: ViewName
  /** The names of the schedules that refresh the view under its new name from now on. */
  schedules: string[]
  warnings: string[]
}

/** What `ayb matviews register --all` answers. */
export interface RegisteredViews {
  registered: Registration[]
  /** Registered before. */
  existing: Registration[]
  refused: (ViewName & {error: ErrorRecord})[]
  warnings: string[]
}

/** What `ayb matviews show` answers. */
export interface RegistrationDetails {
  registration: Registration & Freshness
  /** Null where the view was dropped. */
  view: View | null
  schedules: Schedule[]
  /** The last ten, newest first. */
  recentRuns: Run[]
  warnings: string[]
}
