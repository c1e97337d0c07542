import type {Database} from '../database.ts'
import {isoInstant} from '../instant.ts'
import {isStillOurs} from '../queue/fence.ts'
import {REGISTRATION} from '../registrations.ts'
import {writableIdentity} from '../states/identity.ts'
import {rememberSql} from '../states/remember.ts'
import {type Attempt, storedSettingsOf, triggerOf} from './attempt.ts'

/** How long since the message arrived, which both now() and statement_timestamp() tell. */
const ELAPSED_MS =
  'least(round(extract(epoch from clock_timestamp() - statement_timestamp()) * 1000), 2147483647)::int'

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
  databaseOid: 'oid',
  systemIdentifier: 'bigint',
  lockWaitMs: 'bigint',
  settings: 'jsonb',
  reason: 'text',
} as const

type RecordValues = Record<keyof typeof RECORD_TYPES, string>

/**
 * The statement that records a success behind REFRESH, in its transaction: run, registration and the job's
 * end. A job that is no longer ours leaves everything as it is. Where another session holds the row of the
 * registration, the statement leaves that row for later (`is_status_pending`): readers of the view wait until
 * this transaction ends. It travels with REFRESH in one message, which takes no parameters, so its values are
 * literals; a session that keeps statements has it planned beforehand.
 */
export async function successRecord(db: Database, attempt: Attempt): Promise<string> {
  const {session} = db
  const {registration, mode, runId, job} = attempt
  const identity = await writableIdentity(db)
  const literal = (text: string) => session.literal(text)
  const settings = storedSettingsOf(attempt)
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
    databaseOid: String(identity?.databaseOid ?? 'null'),
    systemIdentifier: identity?.systemIdentifier ?? 'null',
    lockWaitMs: String(Math.round(attempt.lockWaitMs)),
    settings: settings === null ? 'null' : literal(settings),
    reason: attempt.reason === null ? 'null' : literal(attempt.reason),
  }
  const options = {
    hasJob: job !== null,
    remembers: identity !== null,
    // The columns came with the tables.
    hasLockWait: db.has('states'),
    hasReasons: db.has('policies'),
  }
  if (!session.keepsStatements) return recordSql(db, options, values)
  const purpose = `record ${JSON.stringify(options)}`
  const statement = await session.prepare(purpose, Object.values(RECORD_TYPES), () =>
    recordSql(db, options, PARAMETERS),
  )
  return `execute ${statement} (${NAMES.map((name) => values[name]).join(', ')})`
}

const NAMES = Object.keys(RECORD_TYPES) as (keyof RecordValues)[]
const PARAMETERS = Object.fromEntries(
  NAMES.map((name, position) => [name, `$${position + 1}`]),
) as RecordValues

interface RecordOptions {
  hasJob: boolean
  /** Whether the statement remembers the OID of the view. */
  remembers: boolean
  /** Whether the history has a column for how long the refresh waited for the lock. */
  hasLockWait: boolean
  /** Whether it has columns for the settings of the refresh, and for why it was not as asked for. */
  hasReasons: boolean
}

function recordSql(
  {tables}: Database,
  {hasJob, remembers, hasLockWait, hasReasons}: RecordOptions,
  v: RecordValues,
): string {
  const lockWait = hasLockWait
    ? {column: ', lock_wait_ms', value: `,\n         ${v.lockWaitMs}::bigint`}
    : {column: '', value: ''}
  const reasons = hasReasons
    ? {columns: ', settings, reason', values: `, ${v.settings}::jsonb, ${v.reason}::text`}
    : {columns: '', values: ''}
  const end = hasJob
    ? `j as (
  update ${tables.jobs} as j
     set state = 'completed', completed_at = done.at, last_error = null, lease_until = null, worker_id = null,
         updated_at = done.at
    from done
   where ${isStillOurs(v.jobId, v.workerId, v.attempt, v.token)}
returning j.id),`
    : 'j as (select null::uuid as id),'
  const seen = {...v, oid: '(select oid from named)', when: 'exists (select from j)'}
  const remember = remembers ? `,\n${rememberSql(tables, seen)}` : ''
  // Nobody asks a worker for the registration.
  const registration = hasJob ? 'null::uuid as id' : REGISTRATION.select('r')
  return `with done as materialized (select ${ELAPSED_MS} as ms, clock_timestamp() as at),
${end}
named as materialized (
  select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where n.nspname = ${v.schema} and c.relname = ${v.view}),
run as (
  insert into ${tables.runs} (id, schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, duration_ms, status, size_bytes${lockWait.column}${reasons.columns})
  select ${v.runId}::uuid, ${v.schema}, ${v.view}, ${v.mode}, ${v.trigger},
         j.id, ${v.workerId}::text, statement_timestamp(), done.ms, 'success',
         (select pg_total_relation_size(named.oid) from named)${lockWait.value}${reasons.values}
    from done, j),
free as materialized (
  select r.id from ${tables.registrations} r
   where r.schema_name = ${v.schema} and r.view_name = ${v.view}
     for no key update skip locked),
r as (
  update ${tables.registrations} as r
     set last_refresh_at = done.at, last_refresh_duration_ms = done.ms, last_refresh_status = 'success',
         last_refresh_error = null, updated_at = done.at
    from done, j, free
   where r.id = free.id
returning r.*)${remember}
select ${registration}, ${isoInstant('statement_timestamp()')} as run_started_at,
       done.ms as run_duration_ms, exists (select from j) as is_settled,
       exists (select from j) and not exists (select from free)
         and exists (select from ${tables.registrations} r where r.schema_name = ${v.schema} and r.view_name = ${v.view})
         as is_status_pending
  from done${hasJob ? '' : ' left join r on true'}`
}
