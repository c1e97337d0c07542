import type {Instant, ViewName} from './values.ts'

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
