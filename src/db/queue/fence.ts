import {exactInstant} from '../instant.ts'
import type {TableNames} from '../system.ts'

/**
 * What tells the claim of a job from every other one: a statement that ends the job must find all of it
 * unchanged.
 */
export interface JobFence {
  id: string
  workerId: string
  attempt: number
  /** last_run_at to the microsecond, as text: a Date would lose what tells two attempts apart. */
  token: string
  /** Not compared: a deleted schedule leaves its jobs without one. */
  scheduleId: string | null
}

/** The job of a refresh. */
export interface RefreshJob extends JobFence {
  /** The OID of its view as ayb remembers it for this database; null where nothing is remembered. */
  rememberedOid: string | null
}

/**
 * What becomes of a job: it fails for good, or goes back into the queue, with or without having used up an
 * attempt. It is due again after `delayMs`; null leaves the time when it was due.
 */
export type JobTransition =
  | {state: 'failed'}
  | {state: 'queued'; delayMs: number | null; isAttemptReturned: boolean}

/** How a job was left: as was asked, or ended where it was to be queued and its schedule was called off. */
export type SettledState = JobTransition['state'] | 'canceled'

/** SQL: the job of a claim under alias `j`, as long as nobody took it away. */
export const isStillOurs = (id: string, workerId: string, attempt: string, token: string): string =>
  `j.id = ${id} and j.state = 'running' and j.worker_id = ${workerId} and j.attempts = ${attempt}
     and ${exactInstant('j.last_run_at')} = ${token}`

/**
 * SQL: whether the schedule of the job under alias `j` was disabled or deleted while the attempt ran. Nothing
 * of such a schedule is queued again. A job that somebody queues by hand while the schedule is disabled
 * starts behind that, and is. `scheduleId` is what the claim read, null where that is not known: a job whose
 * schedule is deleted has none.
 */
export const isCalledOff = ({schedules}: TableNames, scheduleId: string): string =>
  `(j.schedule_id is null and ${scheduleId}::uuid is not null
     or exists (select from ${schedules} s where s.id = j.schedule_id and not s.enabled and s.updated_at > j.last_run_at))`

/** SQL: how to leave the job under alias `j`; the values are expressions. */
export const endState = (
  tables: TableNames,
  {wanted, attemptsReturned, scheduleId}: Record<'wanted' | 'attemptsReturned' | 'scheduleId', string>,
): string =>
  `(case when ${wanted} <> 'queued' or not ${isCalledOff(tables, scheduleId)} then ${wanted}
         when ${attemptsReturned} > 0 then 'canceled' else 'failed' end)`
