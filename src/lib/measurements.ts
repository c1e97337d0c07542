import type {JobState} from './records/jobs.ts'

/** What the database tells of a registered view, for metrics. Seconds since 1970, or seconds. */
export interface ViewMeasurement {
  /** As a person writes it. */
  view: string
  /** As of when the data is; 0 where no refresh has succeeded. */
  freshAt: number
  lastSuccessAt: number
  lastDuration: number | null
  maxAge: number | null
  consecutiveFailures: number
  isStale: boolean
  isOverdue: boolean
  /** Whether a refresh is running, queued, or waits for its turn in a set. */
  isAwaited: boolean
  /** Null on a standby. */
  running: number | null
  sizeBytes: number | null
}

/** What the database tells, for metrics: the same to every process that asks. */
export interface Measurements {
  /** Its name, and the identifier of its cluster; null where the role may not read that. */
  database: {name: string; systemIdentifier: string | null}
  jobs: Record<JobState, number>
  views: ViewMeasurement[]
  /** Of enabled schedules; seconds since 1970. */
  schedules: {name: string; nextRunAt: number}[]
  /** How many are alive; null on a standby. */
  workers: number | null
}
