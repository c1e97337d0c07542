import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {writeText} from '../encoding.ts'
import {
  ATTEMPTS_BEFORE,
  endState,
  isStillOurs,
  type JobFence,
  type JobTransition,
  leftAs,
  putBackSql,
  type SettledState,
} from './fence.ts'

/**
 * Puts a job back into the queue because another session refreshes its view. The job uses up no attempt, and
 * is due again after a quarter of its age, between 1 s and 60 s. Where its schedule was called off, the job
 * is canceled instead. A job leaves one skipped run, however often that happens. Returns null where the job
 * is no longer ours. The commit does not wait for a standby: where the server is lost, the claim is lost too,
 * or the job is rescued as that of a dead worker.
 */
export async function snoozeJob(
  {session, tables}: Database,
  job: JobFence,
  {schemaName, viewName, refreshMode}: RefreshTarget,
): Promise<{state: 'queued' | 'canceled'; delayMs: number} | null> {
  const putBack = putBackSql(tables, {
    scheduleId: '$8',
    runAt: () =>
      "now() + (now() - least(greatest(j.created_at, now() - interval '4 min'), now() - interval '4 s')) / 4",
  })
  const [row] = await session.writeLocally<{state: 'queued' | 'canceled'; delay_ms: number}>(
    `with j as (
       ${putBack}
     returning j.id, j.state::text, j.run_at),
     run as (
       insert into ${tables.runs} (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, status, error)
       select $5, $6, $7, 'schedule', j.id, $2, 'skipped', 'refresh already in progress' from j
        where not exists (select from ${tables.runs} h where h.job_id = j.id and h.status = 'skipped'))
     select j.state, round(extract(epoch from j.run_at - now()) * 1000)::int as delay_ms from j`,
    [job.id, job.workerId, job.attempt, job.token, schemaName, viewName, refreshMode, job.scheduleId],
  )
  return row ? {state: row.state, delayMs: row.delay_ms} : null
}

/** Why a job ends without a refresh. With a view, the history of that view gets a run that says so. */
interface JobReason {
  message: string
  view?: ViewName | null
}

/**
 * Fails or requeues a job that never got as far as a refresh. Returns how the job was left; null where the
 * job is no longer ours. The commit does not wait for a standby, as in `snoozeJob`.
 */
export async function failOrRequeueJob(
  db: Database,
  job: JobFence,
  transition: JobTransition,
  reason: JobReason | null = null,
): Promise<SettledState | null> {
  if (reason === null) return writeTransition(db, job, transition, null)
  return writeText(reason.message, (message) => writeTransition(db, job, transition, {...reason, message}))
}

/** Returns a job that was claimed and not begun. */
export const returnJob = (db: Database, job: JobFence): Promise<SettledState | null> =>
  failOrRequeueJob(db, job, {state: 'queued', delayMs: null, isAttemptReturned: true})

async function writeTransition(
  {session, tables}: Database,
  job: JobFence,
  transition: JobTransition,
  reason: JobReason | null,
): Promise<SettledState | null> {
  const queued = transition.state === 'queued' ? transition : null
  const state = endState(tables, {wanted: '$5::text', attemptsReturned: '$7::int', scheduleId: '$11'})
  const rows = await session.writeLocally<{state: SettledState}>(
    `with j as (
     update ${tables.jobs} as j
        set ${leftAs(state)},
            run_at = coalesce(now() + $6::float8 * interval '1 ms', j.run_at),
            attempts = j.attempts - $7::int, last_error = coalesce($8::text, j.last_error)
      where ${isStillOurs('$1', '$2', '$3', '$4')}
  returning j.id, j.state::text, j.last_run_at, $2::text as worker_was),
     run as (
       insert into ${tables.runs} (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, status, error)
       select $9::text, $10::text,
              coalesce((select r.refresh_mode from ${tables.registrations} r
                         where r.schema_name = $9::text and r.view_name = $10::text), 'standard'),
              'schedule', j.id, j.worker_was, j.last_run_at, 'error', $8::text
         from j
        where $8::text is not null and $9::text is not null and $7::int = 0)
     select state from j`,
    [
      job.id,
      job.workerId,
      job.attempt,
      job.token,
      transition.state,
      queued?.delayMs ?? null,
      queued?.isAttemptReturned ? 1 : 0,
      reason?.message ?? null,
      reason?.view?.schemaName ?? null,
      reason?.view?.viewName ?? null,
      job.scheduleId,
    ],
  )
  return rows[0]?.state ?? null
}

/**
 * Returns the job that was claimed in the transaction that recorded a run, where the answer that names the
 * job was lost. One transaction wrote both rows, so that both have the same xmin.
 */
export async function returnUnseenJob({session, tables}: Database, runId: string): Promise<void> {
  const state = endState(tables, {wanted: "'queued'", attemptsReturned: '1', scheduleId: 'null'})
  await session.query(
    `update ${tables.jobs} as j
        set ${leftAs(state)}, attempts = ${ATTEMPTS_BEFORE}
       from ${tables.runs} h
      where h.id = $1 and j.xmin = h.xmin and j.state = 'running' and j.worker_id = h.worker_id`,
    [runId],
  )
}
