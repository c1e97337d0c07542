import type {RefreshPayload} from '../../lib/payload.ts'
import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {Database} from '../database.ts'
import {runAtByHand} from './looks.ts'
import {wakeWorkers} from './wake.ts'

/** A refresh by hand is tried once, also where a worker does it. */
const ATTEMPTS = 1

/**
 * Queues a job without a schedule for a registered view, and returns its id: the id of the queued job, where
 * such a job is queued already and no worker is taking it. Null where the registration is gone. Of two sessions
 * that queue the same, the second waits for the row of the registration, and finds the job of the first.
 */
export async function enqueueByHand(
  {session, tables}: Database,
  registrationId: string,
  payload: RefreshPayload,
): Promise<string | null> {
  return session.transaction(async () => {
    const found = await session.query(
      `select from ${tables.registrations} r where r.id = $1 for no key update`,
      [registrationId],
    )
    if (found.length === 0) return null
    const stored = JSON.stringify(payload)
    const [queued] = await session.query<{id: string}>(
      `update ${tables.jobs} as j
          set run_at = ${runAtByHand('j')}, updated_at = now()
        where j.id = (select q.id
                        from ${tables.jobs} q
                       where q.state = 'queued' and q.type = '${JOB_TYPE}' and q.schedule_id is null and q.payload = $1::jsonb
                         and q.run_at <= now() + interval '1 min'
                       order by q.run_at
                       limit 1
                         for no key update skip locked)
    returning j.id`,
      [stored],
    )
    if (queued) {
      await wakeWorkers(session)
      return queued.id
    }
    const [added] = await session.query<{id: string}>(
      `insert into ${tables.jobs} (type, payload, max_attempts)
       values ('${JOB_TYPE}', $1::jsonb, ${ATTEMPTS})
    returning id`,
      [stored],
    )
    await wakeWorkers(session)
    return added?.id ?? null
  })
}
