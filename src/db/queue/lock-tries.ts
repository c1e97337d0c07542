import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {Database} from '../database.ts'
import {stateRights} from '../states/identity.ts'
import {type JobFence, putBackSql} from './fence.ts'

/**
 * The tries of a job that waited in vain for the lock of its view. Durations in milliseconds, the first one
 * with pauses.
 */
export interface LockTries {
  elapsedMs: number
  tries: number
  waitMs: number
}

/**
 * Puts a job back into the queue because its view could not be locked. The job uses up no attempt and is due
 * again after the pause; its tries are written down for the worker that claims it next. Cancels the job
 * instead where its schedule was called off. Returns how the job was left; null where the job is no longer
 * ours.
 */
export async function snoozeBlockedJob(
  db: Database,
  job: JobFence & {scheduleId: string | null},
  view: RefreshTarget,
  {elapsedMs, tries, waitMs, pauseMs}: LockTries & {pauseMs: number},
): Promise<'queued' | 'canceled' | null> {
  const {session, tables} = db
  const {mayWrite} = await stateRights(db)
  const states = mayWrite
    ? `, written as (
       insert into ${tables.states} as s (schema_name, view_name, lock_job_id, lock_first_try_at, lock_tries, lock_wait_ms)
       select $7, $8, j.id, now() - $9::float8 * interval '1 ms', $10::int, $11::bigint from j where j.state = 'queued'
           on conflict (schema_name, view_name) do update
          set lock_job_id = excluded.lock_job_id, lock_first_try_at = excluded.lock_first_try_at,
              lock_tries = excluded.lock_tries, lock_wait_ms = excluded.lock_wait_ms)`
    : ''
  const putBack = putBackSql(tables, {
    scheduleId: '$6',
    runAt: (state) =>
      `case when ${state} = 'queued' then now() + $5::float8 * interval '1 ms' else j.run_at end`,
  })
  // As snoozeJob: lost with the server, the job is rescued as that of a dead worker.
  const [row] = await session.writeLocally<{state: 'queued' | 'canceled'}>(
    `with j as (
       ${putBack}
     returning j.id, j.state::text)${states}
     select state from j`,
    [
      job.id,
      job.workerId,
      job.attempt,
      job.token,
      pauseMs,
      job.scheduleId,
      ...(mayWrite ? [view.schemaName, view.viewName, elapsedMs, tries, Math.round(waitMs)] : []),
    ],
  )
  return row?.state ?? null
}

/** SQL: the tries of a job under alias `u`, from the state of its view under alias `s`; null for none. */
const TRIES = `case when s.lock_job_id = u.id then json_build_object(
                'tries', s.lock_tries, 'waitMs', s.lock_wait_ms,
                'elapsedMs', greatest(extract(epoch from u.last_run_at - s.lock_first_try_at) * 1000, 0)::float8) end`

/**
 * SQL: the tries of a job that a claim has under alias `u`, with its registration under alias `r`, as the
 * column `past_tries`, and what the column is joined from.
 */
export const triesOfClaimed = (
  db: Database,
  {mayRead}: {mayRead: boolean},
): {column: string; join: string} =>
  mayRead
    ? {
        column: 's.past_tries',
        join: `
       left join lateral (
         select ${TRIES} as past_tries from ${db.tables.states} s
          where s.schema_name = r.schema_name and s.view_name = r.view_name
         offset 0) s on true`,
      }
    : {column: 'null::json as past_tries', join: ''}

/** The tries of a job that a claim did not read; null for none. */
export async function readTries(
  db: Database,
  {id}: JobFence,
  view: RefreshTarget,
): Promise<LockTries | null> {
  if (!(await stateRights(db)).mayRead) return null
  const [row] = await db.session.query<{past_tries: LockTries | null}>(
    `select ${TRIES} as past_tries
       from ${db.tables.jobs} u, ${db.tables.states} s
      where u.id = $1 and s.schema_name = $2 and s.view_name = $3`,
    [id, view.schemaName, view.viewName],
  )
  return row?.past_tries ?? null
}

/** SQL: what a state of a view is set to where no job waits for its lock. */
export const NO_LOCK_TRIES =
  'lock_job_id = null, lock_first_try_at = null, lock_tries = null, lock_wait_ms = null'

/** Forgets the tries of a job, whose next attempt begins anew. */
export async function forgetTries(db: Database, {id}: JobFence, view: RefreshTarget): Promise<void> {
  if (!(await stateRights(db)).mayWrite) return
  await db.session.query(
    `update ${db.tables.states} as s
        set ${NO_LOCK_TRIES}
      where s.schema_name = $1 and s.view_name = $2 and s.lock_job_id = $3`,
    [view.schemaName, view.viewName, id],
  )
}
