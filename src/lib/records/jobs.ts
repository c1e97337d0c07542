import type {Instant, ViewName} from './values.ts'

/**
 * Which views a job refreshes beside its own: those that read its view, those that its view reads, or both.
 */
export type JobScope = 'cascade' | 'dependencies' | 'both'

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

/** What the commands on one job answer. */
export interface JobDocument {
  job: Job
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
