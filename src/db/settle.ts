import type {RefreshMode, Registration, ViewName} from '../lib/records.ts'
import type {Database} from './database.ts'
import {exactInstant} from './instant.ts'
import {REGISTRATION_COLUMNS} from './registrations.ts'
import type {Session} from './session.ts'
import type {TableNames} from './system.ts'

/** A job that a worker has for itself: what a statement must find unchanged to end it. */
export interface JobClaim {
  id: string
  workerId: string
  attempt: number
  /** last_run_at to the microsecond, as text: a Date would lose what tells two attempts apart. */
  token: string
}

/** One attempt at a refresh, from the moment that it holds the lock. */
export interface Attempt {
  /** Of the run that will be recorded, known beforehand: after a lost connection it tells whether it was. */
  runId: string
  registration: Registration
  mode: RefreshMode
  /** Null for a refresh by hand. */
  job: JobClaim | null
  timeoutMs: number | null
  lockTimeoutMs: number | null
  /** By the server's clock, exact to the microsecond. */
  startedAt: string
}

/** How an attempt failed, and what becomes of its job. */
export interface Failure {
  status: 'error' | 'canceled'
  message: string
  durationMs: number
  /** Ignored where there is no job. */
  job: JobEnd
}

/** Failed for good, or queued again: after a while, with or without having used up an attempt. */
export type JobEnd = {state: 'failed'} | {state: 'queued'; delayMs: number; isAttemptReturned: boolean}

/** How long since the message arrived, which both now() and statement_timestamp() tell. */
const ELAPSED_MS =
  'least(round(extract(epoch from clock_timestamp() - statement_timestamp()) * 1000), 2147483647)::int'

/** The job of a claim, as long as nobody took it away. */
const isStillOurs = (id: string, workerId: string, attempt: string, token: string): string =>
  `j.id = ${id} and j.state = 'running' and j.worker_id = ${workerId} and j.attempts = ${attempt}
     and ${exactInstant('j.last_run_at')} = ${token}`

/** The values of a success record, with their types; in this order. */
const RECORD_TYPES = {
  runId: 'uuid',
  schema: 'text',
  view: 'text',
  mode: 'text',
  trigger: 'text',
  jobId: 'uuid',
  workerId: 'text',
  attempt: 'int',
  token: 'text',
} as const

type RecordValues = Record<keyof typeof RECORD_TYPES, string>

/**
 * The statement that records a success behind REFRESH, in its transaction: run, registration and the job's end.
 * A job that is no longer ours leaves everything as it is. It travels with REFRESH in one message, which takes no
 * parameters, so its values are literals; a session that keeps statements has it planned beforehand.
 */
export async function successRecord({tables, session}: Database, attempt: Attempt): Promise<string> {
  const {registration, mode, runId, job} = attempt
  const literal = (text: string) => session.literal(text)
  const values: RecordValues = {
    runId: literal(runId),
    schema: literal(registration.schemaName),
    view: literal(registration.viewName),
    mode: literal(mode),
    trigger: literal(triggerOf(attempt)),
    jobId: job ? literal(job.id) : 'null',
    workerId: job ? literal(job.workerId) : 'null',
    attempt: String(job?.attempt ?? 'null'),
    token: job ? literal(job.token) : 'null',
  }
  if (!session.keepsStatements) return recordSql(tables, job !== null, values)
  const names = Object.keys(RECORD_TYPES).map((name, position) => [name, `$${position + 1}`])
  const sql = recordSql(tables, job !== null, Object.fromEntries(names) as RecordValues)
  const statement = await session.prepare(sql, Object.values(RECORD_TYPES))
  return `execute ${statement} (${Object.values(values).join(', ')})`
}

function recordSql(tables: TableNames, hasJob: boolean, v: RecordValues): string {
  const end = hasJob
    ? `j as (
  update ${tables.jobs} as j
     set state = 'completed', completed_at = done.at, last_error = null, lease_until = null, worker_id = null,
         updated_at = done.at
    from done
   where ${isStillOurs(v.jobId, v.workerId, v.attempt, v.token)}
returning j.id),`
    : 'j as (select null::uuid as id),'
  return `with done as materialized (select ${ELAPSED_MS} as ms, clock_timestamp() as at),
${end}
run as (
  insert into ${tables.runs} (id, schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, duration_ms, status, size_bytes)
  select ${v.runId}::uuid, ${v.schema}, ${v.view}, ${v.mode}, ${v.trigger},
         j.id, ${v.workerId}::text, statement_timestamp(), done.ms, 'success',
         (select pg_total_relation_size(c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname = ${v.schema} and c.relname = ${v.view})
    from done, j),
r as (
  update ${tables.registrations} as r
     set last_refresh_at = done.at, last_refresh_duration_ms = done.ms, last_refresh_status = 'success',
         last_refresh_error = null, updated_at = done.at
    from done, j
   where r.schema_name = ${v.schema} and r.view_name = ${v.view}
returning r.*)
select ${REGISTRATION_COLUMNS}, done.ms as run_duration_ms, exists (select from j) as is_settled
  from done left join r on true`
}

/**
 * Records an attempt that failed, and what becomes of its job. It no longer holds the lock, so a later attempt may
 * have ended meanwhile: that one's status stands. Recording the same run twice changes nothing, and a job that is
 * no longer ours leaves everything as it is. Returns whether it was.
 */
export async function recordFailure(
  session: Session,
  {tables}: Database,
  attempt: Attempt,
  failure: Failure,
): Promise<boolean> {
  const {registration, job} = attempt
  const end = failure.job.state === 'queued' ? failure.job : null
  const jobCte = job
    ? `j as (
       update ${tables.jobs} as j
          set state = $10::text, run_at = case when $10::text = 'queued' then done.at + $11 * interval '1 ms' else j.run_at end,
              attempts = j.attempts - $12::int, last_error = $9, lease_until = null, worker_id = null, updated_at = done.at
         from done
        where ${isStillOurs('$13', '$14', '$15', '$16')}
     returning j.id),`
    : 'j as (select null::uuid as id),'
  const rows = await session.query<{is_settled: boolean}>(
    `with done as materialized (select clock_timestamp() as at),
     ${jobCte}
     run as (
       insert into ${tables.runs} (id, schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, duration_ms, status, error)
       select $1::uuid, $2, $3, $4, $5, j.id, ${job ? '$14' : 'null'}, $6::timestamptz, $7::int, $8, $9 from j
           on conflict (id) do nothing
       returning id),
     r as (
       update ${tables.registrations} as r
          set last_refresh_at = done.at, last_refresh_duration_ms = $7, last_refresh_status = 'error',
              last_refresh_error = $9, updated_at = done.at
         from done, run
        where r.schema_name = $2 and r.view_name = $3
          and (r.last_refresh_at is null or r.last_refresh_at <= $6::timestamptz))
     select exists (select from j) as is_settled`,
    [
      attempt.runId,
      registration.schemaName,
      registration.viewName,
      attempt.mode,
      triggerOf(attempt),
      attempt.startedAt,
      Math.min(Math.round(failure.durationMs), 2_147_483_647),
      failure.status,
      failure.message,
      ...(job
        ? [
            failure.job.state,
            end?.delayMs ?? 0,
            end?.isAttemptReturned ? 1 : 0,
            job.id,
            job.workerId,
            job.attempt,
            job.token,
          ]
        : []),
    ],
  )
  return rows[0]?.is_settled ?? false
}

/**
 * Puts a job back whose view is being refreshed by somebody else: without using up an attempt, and after a
 * while that grows with the job's age. Leaves one skipped run a job, however often that happens. Returns the delay
 * in milliseconds; null where the job is no longer ours.
 */
export async function putBack(
  session: Session,
  {tables}: Database,
  job: JobClaim,
  {schemaName, viewName, refreshMode}: Registration,
): Promise<number | null> {
  const rows = await session.query<{delay_ms: number}>(
    `with j as (
       update ${tables.jobs} as j
          set state = 'queued', attempts = greatest(j.attempts - 1, 0), lease_until = null, worker_id = null,
              updated_at = now(),
              run_at = now() + least(greatest((now() - j.created_at) / 4, interval '1 s'), interval '60 s')
        where ${isStillOurs('$1', '$2', '$3', '$4')}
     returning j.id, j.run_at),
     run as (
       insert into ${tables.runs} (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, status, error)
       select $5, $6, $7, 'schedule', j.id, $2, 'skipped', 'refresh already in progress' from j
        where not exists (select from ${tables.runs} h where h.job_id = j.id and h.status = 'skipped'))
     select round(extract(epoch from j.run_at - now()) * 1000)::int as delay_ms from j`,
    [job.id, job.workerId, job.attempt, job.token, schemaName, viewName, refreshMode],
  )
  return rows[0]?.delay_ms ?? null
}

/**
 * Ends or puts back a job that never got as far as a refresh; with a message and a view, leaves a run that says why.
 * Returns whether it was still ours.
 */
export async function endJob(
  session: Session,
  {tables}: Database,
  job: JobClaim,
  end: JobEnd,
  message: string | null,
  view: ViewName | null = null,
): Promise<boolean> {
  const queued = end.state === 'queued' ? end : null
  const rows = await session.query(
    `with j as (
     update ${tables.jobs} as j
        set state = $5::text, run_at = case when $5::text = 'queued' then now() + $6 * interval '1 ms' else j.run_at end,
            attempts = j.attempts - $7::int, last_error = coalesce($8::text, j.last_error), lease_until = null, worker_id = null,
            updated_at = now()
      where ${isStillOurs('$1', '$2', '$3', '$4')}
  returning j.id, j.last_run_at, $2::text as worker_was),
     run as (
       insert into ${tables.runs} (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, status, error)
       select $9::text, $10::text,
              coalesce((select r.refresh_mode from ${tables.registrations} r
                         where r.schema_name = $9::text and r.view_name = $10::text), 'standard'),
              'schedule', j.id, j.worker_was, j.last_run_at, 'error', $8::text
         from j
        where $8::text is not null and $9::text is not null and $7::int = 0)
     select id from j`,
    [
      job.id,
      job.workerId,
      job.attempt,
      job.token,
      end.state,
      queued?.delayMs ?? 0,
      queued?.isAttemptReturned ? 1 : 0,
      message,
      view?.schemaName ?? null,
      view?.viewName ?? null,
    ],
  )
  return rows.length > 0
}

const triggerOf = ({job}: Attempt): 'manual' | 'schedule' => (job ? 'schedule' : 'manual')
