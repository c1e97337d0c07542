import type {Database} from '../database.ts'
import {endState, isStillOurs, type JobFence} from './fence.ts'

/**
 * Puts a job back that was claimed in a quiet time of its schedule: due at its end, without an attempt. Where
 * its schedule was called off, the job is canceled instead. Returns null where the job is no longer ours. The
 * commit does not wait for a standby, as in `snoozeJob`.
 */
export async function putOffJob(
  {session, tables}: Database,
  job: JobFence,
  until: Date,
): Promise<'queued' | 'canceled' | null> {
  const state = endState(tables, {wanted: "'queued'", attemptsReturned: '1', scheduleId: '$6'})
  const update = () =>
    session.query<{state: 'queued' | 'canceled'}>(
      `update ${tables.jobs} as j
          set state = ${state}, canceled_at = case when ${state} = 'canceled' then now() else j.canceled_at end,
              run_at = $5::timestamptz, attempts = greatest(j.attempts, 1) - 1, lease_until = null, worker_id = null,
              updated_at = now()
        where ${isStillOurs('$1', '$2', '$3', '$4')}
     returning j.state::text`,
      [job.id, job.workerId, job.attempt, job.token, until.toISOString(), job.scheduleId],
    )
  const [row] = await session.transaction(update, {commitsLocally: true})
  return row?.state ?? null
}
