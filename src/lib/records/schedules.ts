import type {Job, JobDocument, JobScope} from './jobs.ts'
import type {RunStatus} from './runs.ts'
import type {Instant} from './values.ts'

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
  /** How old it lets the data of its view become; null where it runs at fixed times. */
  maxAgeMs: number | null
  /** The longest time that a run may begin behind its due time; null for none. */
  jitterMs: number | null
  /** Whether a run that was missed while no worker was alive is made up for. */
  catchUp: CatchUp
  /** When no run begins, by the clock of its time zone, such as `08:00-18:00 mon-fri`. */
  notDuring: string[]
}

/** What becomes of runs that were missed: the last one is made up for, or none. */
export type CatchUp = 'latest' | 'none'

export const CATCH_UPS: readonly CatchUp[] = ['latest', 'none']

/** A schedule as lists show it. */
export interface ListedSchedule extends Schedule {
  /** How the last run that it caused ended. */
  lastRunStatus: RunStatus | null
}

/** What the commands on one schedule answer. */
export interface ScheduleDocument {
  schedule: Schedule
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
