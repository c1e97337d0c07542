import type {JobScope} from './records/jobs.ts'
import type {ViewName} from './records/values.ts'
import type {SchedulePolicy} from './schedule-policy.ts'

/** What a person asks for to create a schedule, as data: each surface words it for its own readers. */
export interface ScheduleRequest extends SchedulePolicy {
  name: string
  cron: string
  /** In place of the expression; null where the schedule promises nothing. */
  maxAgeMs: number | null
  timezone: string
  enabled: boolean
  maxAttempts: number
  /**
   * A view where that says all; else the payload as JSON, in which names that need it are in double quotes.
   */
  target: {view: ViewName} | {payload: string}
  /** Null where there is none, or the payload says it. */
  scope: JobScope | null
}
