import {exactInstant} from '../instant.ts'
import type {TableNames} from '../system.ts'

/**
 * The values that identify the claim of a job. A statement that ends the job must find all of them unchanged.
 */
export interface JobFence {
  id: string
  workerId: string
  attempt: number
  /**
   * last_run_at as text, to the microsecond: a Date has only milliseconds, which can be equal for two
   * attempts.
   */
  token: string
  /** Not compared: a deleted schedule leaves its jobs without one. */
  scheduleId: string | null
}

/** The job of a refresh. */
export interface RefreshJob extends JobFence {
  maxAttempts: number
}

/**
 * What becomes of a job: it fails for good, or goes back into the queue, with or without having used up an
 * attempt. It is due again after `delayMs`; null leaves the time when it was due.
 */
export type JobTransition =
  | {state: 'failed'}
  | {state: 'queued'; delayMs: number | null; isAttemptReturned: boolean}

/**
 * The state in which a job was left: the requested state, or an ended state if the schedule was disabled or
 * deleted.
 */
export type SettledState = JobTransition['state'] | 'canceled'

/** SQL: the job of a claim under alias `j`, as long as nobody took it away. */
export const isStillOurs = (id: string, workerId: string, attempt: string, token: string): string =>
  `j.id = ${id} and j.state = 'running' and j.worker_id = ${workerId} and j.attempts = ${attempt}
     and ${exactInstant('j.last_run_at')} = ${token}`

/**
 * SQL: whether the schedule of the job under alias `j` was disabled or deleted while the attempt ran. Jobs of
 * such a schedule are not queued again. A job that somebody queues by hand while the schedule is disabled was
 * started after the change, so that job is queued again. `scheduleId` is the id that the claim has read; null
 * where it is unknown, since a deleted schedule leaves its jobs without an id.
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

/**
 * SQL: what leaves the job under alias `j` in that state, for SET: nobody holds the job any more. All are
 * expressions.
 */
export const leftAs = (state: string, at = 'now()'): string =>
  `state = ${state}, canceled_at = case when ${state} = 'canceled' then ${at} else j.canceled_at end,
              lease_until = null, worker_id = null, updated_at = ${at}`

/** SQL: the attempts of the job under alias `j` without the attempt of its claim. */
export const ATTEMPTS_BEFORE = 'greatest(j.attempts, 1) - 1'

/**
 * SQL: an UPDATE that puts the job of a claim back into the queue, without an attempt, or cancels the job
 * where its schedule was called off. RETURNING follows. `$1` to `$4` are the values of the fence. `runAt` gets
 * an expression for how the job is left.
 */
export function putBackSql(
  tables: TableNames,
  {scheduleId, runAt}: {scheduleId: string; runAt(state: string): string},
): string {
  const state = endState(tables, {wanted: "'queued'", attemptsReturned: '1', scheduleId})
  return `update ${tables.jobs} as j
          set ${leftAs(state)},
              attempts = ${ATTEMPTS_BEFORE}, run_at = ${runAt(state)}
        where ${isStillOurs('$1', '$2', '$3', '$4')}`
}
