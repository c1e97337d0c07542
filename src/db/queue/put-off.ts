import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {stateRights} from '../states/identity.ts'
import {type JobFence, putBackSql} from './fence.ts'
import {NO_LOCK_TRIES} from './lock-tries.ts'

/**
 * Puts a job back that was claimed in a quiet time of its schedule: due at its end, without an attempt. Where
 * its schedule was called off, the job is canceled instead. Its tries of the lock of the view are forgotten:
 * the quiet time does not count against its patience. Returns null where the job is no longer ours. The commit
 * does not wait for a standby, as in `snoozeJob`.
 */
export async function putOffJob(
  db: Database,
  job: JobFence,
  view: ViewName | null,
  until: Date,
): Promise<'queued' | 'canceled' | null> {
  const {session, tables} = db
  const isForgetful = view !== null && (await stateRights(db)).mayWrite
  const states = isForgetful
    ? `, forgotten as (
       update ${tables.states} as s set ${NO_LOCK_TRIES}
         from j where s.schema_name = $7 and s.view_name = $8 and s.lock_job_id = j.id)`
    : ''
  const putBack = putBackSql(tables, {scheduleId: '$6', runAt: () => '$5::timestamptz'})
  const [row] = await session.writeLocally<{state: 'queued' | 'canceled'}>(
    `with j as (
       ${putBack}
     returning j.id, j.state::text)${states}
     select state from j`,
    [
      ...[job.id, job.workerId, job.attempt, job.token, until.toISOString(), job.scheduleId],
      ...(isForgetful ? [view.schemaName, view.viewName] : []),
    ],
  )
  return row?.state ?? null
}
