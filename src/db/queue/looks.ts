import type {Database} from '../database.ts'
import {isStillOurs, type JobFence} from './fence.ts'

/**
 * The beginning of the idempotency keys of jobs that promises made. All other jobs of their schedules were
 * asked for by somebody, or made by another program.
 */
const LOOK_KEY = 'ayb-promise:'

/** SQL: an idempotency key for a job that a promise makes. */
export const LOOK_KEY_SQL = `'${LOOK_KEY}' || gen_random_uuid()`

/** SQL: whether a promise made the job under that alias, and nobody has asked for the job since. */
export const isLook = (alias: string): string =>
  `coalesce(starts_with(${alias}.idempotency_key, '${LOOK_KEY}'), false)`

/** SQL: the idempotency key of the job under that alias, once somebody has asked for the job. */
export const keyByHand = (alias: string): string =>
  `case when not ${isLook(alias)} then ${alias}.idempotency_key end`

/**
 * SQL: when the queued job under that alias is due, once somebody has asked for the job: at the time of the
 * request, since the look has to see all changes until then. A job that is due and was made over a minute ago
 * keeps its place in the queue. Otherwise a stream of requests would keep the job from its turn.
 */
export const runAtByHand = (alias: string): string =>
  `case when ${alias}.run_at > now() or ${alias}.created_at > now() - interval '1 min' then now() else ${alias}.run_at end`

// A schedule with a promise makes a job for each look. What finds nothing leaves no row: there would be one a
// second. The commits do not wait for a standby, as in `snoozeJob`.

/** Deletes the job of a look that found nothing, which is completed. */
export async function forgetLook({session, tables}: Database, jobId: string): Promise<void> {
  await session.writeLocally(`delete from ${tables.jobs} j where j.id = $1 and j.state = 'completed'`, [
    jobId,
  ])
}

/**
 * Deletes the job of a look that told nothing, and has its schedule come up when the refresh is due. Returns
 * whether the job was still ours.
 */
export async function settleUndue(db: Database, job: JobFence, dueInMs: number): Promise<boolean> {
  const {session, tables} = db
  const rows = await session.writeLocally(
    `with j as (
       delete from ${tables.jobs} j where ${isStillOurs('$1', '$2', '$3', '$4')} returning j.schedule_id),
     s as (
       update ${tables.schedules} s
          set next_run_at = date_trunc('milliseconds', clock_timestamp() + $5::float8 * interval '1 ms'), updated_at = now()
         from j
        where s.id = j.schedule_id and s.enabled and s.next_run_at < clock_timestamp() + $5::float8 * interval '1 ms'
       returning s.id, s.next_run_at),
     noted as (
       update ${tables.promises} p set due_at = s.next_run_at from s where p.schedule_id = s.id)
     select from j`,
    [job.id, job.workerId, job.attempt, job.token, dueInMs],
  )
  return rows.length > 0
}
