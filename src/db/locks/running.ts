import {qualifiedName} from '../../lib/identifier.ts'
import type {RunningRefresh} from '../../lib/records/freshness.ts'
import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {Database} from '../database.ts'
import {isoInstant} from '../instant.ts'
import {readablePayload, viewInPayload} from '../payload.ts'
import {heldKey, isHeldKey, viewKey} from './advisory-keys.ts'

/**
 * Who refreshes which registered view right now, by qualified names: who holds the locks of the views. Sees
 * nothing on a standby.
 */
export async function findRunningRefreshes(db: Database): Promise<Map<string, RunningRefresh>> {
  if (!db.has('registrations') || !(await isAnyLockHeld(db))) return new Map()
  const job = viewInPayload(readablePayload('j.payload'))
  const jobs = db.has('jobs')
    ? `left join lateral (
              select j.id, j.worker_id from ${db.tables.jobs} j
               where j.type = '${JOB_TYPE}' and j.state = 'running'
                 and ${job.schema} = r.schema_name and ${job.view} = r.view_name
               limit 1) j on true`
    : 'cross join (select null::uuid as id, null::text as worker_id) j'
  const rows = await db.session.query<RunningRefresh & {schema_name: string; view_name: string}>(
    `with held as materialized (
       select l.pid, ${heldKey('l')} as key
         from pg_locks l
        where ${isViewLock('l')})
     select r.schema_name, r.view_name, coalesce(h.pid, 0) as pid,
            ${isoInstant('coalesce(a.xact_start, a.query_start)')} as since,
            a.usename as user, nullif(a.application_name, '') as application,
            j.worker_id as "workerId", j.id as "jobId"
       from held h
       join ${db.tables.registrations} r on ${viewKey("(r.schema_name || '.' || r.view_name)")} = h.key
       left join pg_stat_activity a on a.pid = h.pid
       ${jobs}`,
  )
  return new Map(
    rows.map(
      ({schema_name: schemaName, view_name: viewName, pid, since, user, application, workerId, jobId}) => [
        qualifiedName({schemaName, viewName}),
        {pid, since, user, application, workerId, jobId},
      ],
    ),
  )
}

/** SQL: whether the row of pg_locks under this alias may be the lock of a view that is refreshed. */
const isViewLock = (locks: string): string => `${isHeldKey(locks)} and ${locks}.mode = 'ExclusiveLock'`

/** Most of the time nobody refreshes anything, and to plan the whole question takes 2 ms on a new session. */
async function isAnyLockHeld(db: Database): Promise<boolean> {
  const held = await db.session.query(`select from pg_locks l where ${isViewLock('l')} limit 1`)
  return held.length > 0
}
