import {JOB_TYPE, type Registration, type ViewName} from '../lib/records.ts'
import type {Database} from './database.ts'
import {exactInstant} from './instant.ts'
import {REGISTRATION_COLUMNS, type RegistrationRow, toRegistration} from './registrations.ts'
import type {Session} from './session.ts'
import type {JobClaim} from './settle.ts'

/** A job that was claimed, with what its refresh needs to know. */
export interface ClaimedJob extends JobClaim {
  payload: unknown
  maxAttempts: number
  scheduleId: string | null
  /** How long after its time it was claimed, by the server's clock, in milliseconds. */
  latenessMs: number
  /** Of the view that the payload names; null where there is none. */
  registration: Registration | null
}

interface ClaimRow {
  job_id: string
  payload: unknown
  attempts: number
  max_attempts: number
  schedule_id: string | null
  token: string
  lateness_ms: number
}

/** SQL: the view that the payload of a job under that alias names, as the text its lock is hashed from. */
export const lockNameOf = (alias: string): string =>
  `(coalesce(${alias}.payload->>'schema', 'public') || '.' || (${alias}.payload->>'view_name'))`

/**
 * Claims the oldest due jobs, no more than there are free slots, and none of a view that this worker refreshes
 * right now. Literals for state and type: with parameters the partial index would not be used.
 */
export async function claimJobs(
  db: Database,
  options: {slots: number; workerId: string; leaseMs: number; busyViews: readonly string[]},
): Promise<ClaimedJob[]> {
  const rows = await db.session.query<ClaimRow & (RegistrationRow | {id: null})>(
    `with c as materialized (
       select j.id from ${db.tables.jobs} j
        where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= now() and j.attempts < j.max_attempts
          and coalesce(${lockNameOf('j')} <> all ($4::text[]), true)
        order by j.run_at
        limit $1
          for no key update skip locked),
     u as (
       update ${db.tables.jobs} j
          set state = 'running', worker_id = $2, lease_until = now() + $3 * interval '1 ms', attempts = j.attempts + 1,
              last_run_at = now(), updated_at = now()
         from c where j.id = c.id
       returning j.*, case when isfinite(j.run_at) then now() - j.run_at else interval '0' end as lateness)
     select u.id as job_id, u.payload, u.attempts, u.max_attempts, u.schedule_id,
            ${exactInstant('u.last_run_at')} as token,
            greatest(round(extract(epoch from u.lateness) * 1000), 0)::float8 as lateness_ms,
            ${REGISTRATION_COLUMNS}
       from u
       left join ${db.tables.registrations} r
         on r.schema_name = coalesce(u.payload->>'schema', 'public') and r.view_name = u.payload->>'view_name'
      order by u.run_at`,
    [options.slots, options.workerId, options.leaseMs, options.busyViews],
  )
  return rows.map((row) => ({
    id: row.job_id,
    workerId: options.workerId,
    attempt: row.attempts,
    token: row.token,
    payload: row.payload,
    maxAttempts: row.max_attempts,
    scheduleId: row.schedule_id,
    latenessMs: row.lateness_ms,
    registration: row.id === null ? null : toRegistration(row as RegistrationRow),
  }))
}

/** Keeps the jobs of a worker its own for another while. */
export async function renewLeases(
  db: Database,
  workerId: string,
  jobIds: readonly string[],
  leaseMs: number,
): Promise<void> {
  await db.session.query(
    `update ${db.tables.jobs} j
        set lease_until = now() + $3 * interval '1 ms', updated_at = now()
      where j.id = any ($2::uuid[]) and j.state = 'running' and j.worker_id = $1`,
    [workerId, jobIds, leaseMs],
  )
}

/** A backend of this worker, and the refresh that it is thought to be busy with. */
export interface WatchedBackend {
  pid: number
  backendStart: string | null
}

/**
 * Which of the backends are idle, or gone, although their answer is awaited: the network in between is dead. Ends
 * them. Idle for two seconds, since an answer may just be on its way.
 */
export async function endSilentBackends(
  session: Session,
  backends: readonly WatchedBackend[],
): Promise<number[]> {
  const rows = await session.query<{pid: number}>(
    `select b.pid, pg_terminate_backend(a.pid)
       from unnest($1::int[], $2::text[]) as b(pid, started)
       left join pg_stat_activity a on a.pid = b.pid and extract(epoch from a.backend_start)::text = b.started
      where a.pid is null or (a.state like 'idle%' and a.state_change < clock_timestamp() - interval '2 s')`,
    [backends.map(({pid}) => pid), backends.map(({backendStart}) => backendStart)],
  )
  return rows.map(({pid}) => pid)
}

/** The view that an array of busy views calls it. */
export const busyName = ({schemaName, viewName}: ViewName): string => `${schemaName}.${viewName}`
