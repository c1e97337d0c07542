/** What a refresh locks: `standard` blocks readers while it runs, `concurrent` does not. */
export type RefreshMode = 'standard' | 'concurrent'

export const REFRESH_MODES: readonly RefreshMode[] = ['standard', 'concurrent']

/** The mode that somebody asks for: `auto` is concurrent where the view allows that, else standard. */
export type RequestedMode = RefreshMode | 'auto'

export const REQUESTED_MODES: readonly RequestedMode[] = ['auto', ...REFRESH_MODES]

/** An instant as ISO 8601 in UTC, for example `2026-03-01T12:00:00.000Z`. */
export type Instant = string

/**
 * The first and the last instant of documents. A database can hold others (infinity, years before 1 and after
 * 9999), for which ISO 8601 has no text that every program reads: these two stand for all of them, so that a
 * time that is always there stays a time, and sorts where it belongs.
 */
export const FIRST_INSTANT: Instant = '0001-01-01T00:00:00.000Z'
export const LAST_INSTANT: Instant = '9999-12-31T23:59:59.999Z'

/** The name of a view as Postgres stores it, unquoted. */
export interface ViewName {
  schemaName: string
  viewName: string
}

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

/** One reason why a view cannot be refreshed concurrently, and what to do about it. */
export interface ConcurrentBlocker {
  code: 'NOT_POPULATED' | 'UNIQUE_INDEX_REQUIRED'
  message: string
  hint: string
}

/** One reason why a view is always refreshed. */
export interface SkipBlocker {
  /** In capitals, such as CLOCK or VOLATILE. */
  code: string
  message: string
}

/** A materialized view as the catalogs describe it. */
export interface View extends ViewName {
  owner: string
  populated: boolean
  /** Heap, indexes and TOAST together; null while a refresh holds the view. */
  sizeBytes: number | null
  registered: boolean
  concurrentReady: boolean
  concurrentBlockers: ConcurrentBlocker[]
  /** Whether ayb can tell that nothing has changed since the last refresh. */
  skippable: boolean
  skipBlockers: SkipBlocker[]
}

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

/**
 * Which views a job refreshes beside its own: those that read its view, those that its view reads, or both.
 */
export type JobScope = 'cascade' | 'dependencies' | 'both'

/** A cron schedule: one row of `_ayb_job_schedules`. */
export interface Schedule {
  id: string
  name: string
  jobType: string
  payload: unknown
  cronExpr: string
  timezone: string
  enabled: boolean
  maxAttempts: number
  nextRunAt: Instant | null
  lastRunAt: Instant | null
  createdAt: Instant
  updatedAt: Instant
  /** Which views it refreshes beside its own; null for none. */
  scope: JobScope | null
}

/** A schedule as lists show it. */
export interface ListedSchedule extends Schedule {
  /** How the last run that it caused ended. */
  lastRunStatus: RunStatus | null
}

/** `waiting`: of a set of jobs, before its parents are completed. */
export type JobState = 'queued' | 'running' | 'completed' | 'failed' | 'canceled' | 'waiting'

/** In the order in which the states are shown. */
export const JOB_STATES: readonly JobState[] = [
  'queued',
  'running',
  'completed',
  'failed',
  'canceled',
  'waiting',
]

/** The one type of job that ayb knows; others in the same tables belong to other programs. */
export const JOB_TYPE = 'materialized_view_refresh'

/** One refresh to be done, or done: one row of `_ayb_jobs`, or a row of `_ayb_job_edges` that waits. */
export interface Job {
  id: string
  type: string
  payload: unknown
  state: JobState
  /** The earliest time to run the job; null while it waits for its parents. */
  runAt: Instant | null
  /** The number of attempts that were started. */
  attempts: number
  maxAttempts: number
  lastError: string | null
  workerId: string | null
  /** The end of the lease of the worker. */
  leaseUntil: Instant | null
  scheduleId: string | null
  createdAt: Instant
  updatedAt: Instant
  lastRunAt: Instant | null
  completedAt: Instant | null
  canceledAt: Instant | null
  /** The set of jobs that it belongs to; null for none. */
  setId: string | null
  /** The views whose jobs are to be completed before. */
  waitingFor: ViewName[]
}

/** What the commands on one schedule answer. */
export interface ScheduleDocument {
  schedule: Schedule
  warnings: string[]
}

/** What the commands on one job answer. */
export interface JobDocument {
  job: Job
  warnings: string[]
}

/** What `ayb schedules run` answers. */
export interface ScheduleRun extends JobDocument {
  /** The whole set, parents before their children; `job` is the first. */
  jobs: Job[]
}

/** What `ayb schedules next` answers. */
export interface NextRuns {
  cronExpr: string
  timezone: string
  runs: Instant[]
  warnings: string[]
}

/** What `ayb jobs prune` answers; with `--dry-run`, what would be deleted. */
export interface Pruned {
  /** Jobs. */
  deleted: number
  deletedRuns: number
  warnings: string[]
}

/** What `ayb jobs stats` answers: how many jobs are in each state. */
export interface JobStats extends Record<JobState, number> {
  /** Since the oldest queued job was created; null where none is queued. */
  oldestQueuedAgeSec: number | null
  warnings: string[]
}

/** What `ayb worker --once` answers. */
export interface WorkerResult {
  claimed: number
  succeeded: number
  failed: number
  retried: number
  skipped: number
  /** Jobs of sets that were canceled, since a parent had failed. */
  canceled: number
  /** Jobs that were due when the worker started and have not ended. */
  remaining: RemainingJob[]
  warnings: string[]
  /** Jobs that ended without a refresh, since nothing had changed. */
  unchanged: number
}

/** What `ayb worker --once` leaves undone. */
export interface RemainingJob {
  /** Null where a due schedule got no job. */
  jobId: string | null
  scheduleId: string | null
  reason: string
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

/** An error inside a document. */
export interface ErrorRecord {
  code: string
  message: string
  hint: string | null
  status: number
  details: object | null
}

/** One view of a set of refreshes. */
export interface SetMember {
  /** As it is after the set; where it was unregistered meanwhile, as it was before. */
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

/** A worker that is alive, as `ayb worker list` lists it. */
export interface LiveWorker {
  /** As in the jobs that it runs. */
  id: string
  host: string
  pid: number
  /** Of ayb. */
  version: string
  startedAt: Instant
  /** When it last said that it is alive. */
  lastSeenAt: Instant
  /** How many views it refreshes at once. */
  slots: number
  busy: number
  /** Whether it is behind a pooler. */
  pooled: boolean
  refreshes: WorkerRefresh[]
}

/** What a worker refreshes now. */
interface WorkerRefresh extends ViewName {
  jobId: string
  startedAt: Instant
}

/** What `ayb migrate` answers. */
export interface Migrated {
  applied: string[]
  version: number
  warnings: string[]
}

/** What `ayb migrate --dry-run` answers. */
export interface MigrationPlan {
  pending: {name: string; sql: string}[]
  version: number
  warnings: string[]
}

/** A materialized view of the graph. */
export interface GraphNode extends ViewName {
  registered: boolean
  populated: boolean
  /** How fresh the view is; null for a view that is not registered. */
  state: FreshnessState | null
  /** Whether ayb can tell that nothing has changed since the last refresh. */
  skippable: boolean
  skipBlockers: SkipBlocker[]
}

/** One materialized view reads another: the child is computed from the parent. */
export interface GraphEdge {
  parent: ViewName
  child: ViewName
  /**
   * The plain views and the functions between them, from the parent's side to the child's. A function has its
   * argument types behind its name.
   */
  through: string[]
}

/** A view that calls a function whose body Postgres does not track: the function may read any view. */
export interface OpaqueView extends ViewName {
  /** With its argument types, as in `GraphEdge.through`. */
  function: string
}

/** What `ayb matviews graph` answers. */
export interface ViewGraph {
  nodes: GraphNode[]
  edges: GraphEdge[]
  opaque: OpaqueView[]
  warnings: string[]
}

/** One difference between a file of declarations and the database. */
export interface DeclaredChange {
  action: 'create' | 'update' | 'delete'
  kind: 'view' | 'schedule'
  /** Of a view as on a command line. */
  name: string
  /** By their keys in the file; null where the file or the database says nothing. */
  fields: {field: string; from: unknown; to: unknown}[]
}

/** What `ayb apply` and `ayb diff` answer. */
export interface DeclaredChanges {
  changes: DeclaredChange[]
  /** Whether the changes were made. */
  applied: boolean
  warnings: string[]
}

/** What `ayb export` answers: the document that `ayb apply` reads. Keys with their default values are left out. */
export interface Declarations {
  version: number
  views: Record<string, Record<string, unknown>>
  schedules: Record<string, Record<string, unknown>>
}

/** How bad a finding is: refreshes fail, something is to be done, or worth to know. */
export type Severity = 'error' | 'warning' | 'info'

/** What `ayb doctor` found. */
export interface Finding {
  /** The name of the check that found it. */
  check: string
  severity: Severity
  /** Null where it is not about one view. */
  schemaName: string | null
  viewName: string | null
  /** The name of the schedule that it is about. */
  schedule: string | null
  message: string
  /** The facts behind it. */
  evidence: string | null
  /** What mends it: statements for the database, or a command of ayb. */
  fix: {sql: string | null; command: string | null}
}

/** What `ayb doctor` answers. */
export interface Diagnosis {
  /** The worst first. */
  findings: Finding[]
  counts: Record<Severity, number>
  checkedViews: number
  warnings: string[]
}
