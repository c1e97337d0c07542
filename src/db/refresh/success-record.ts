import {quoteViewName} from '../../lib/identifier.ts'
import type {Database} from '../database.ts'
import {isoInstant} from '../instant.ts'
import {isStillOurs} from '../queue/fence.ts'
import {REGISTRATION} from '../registrations.ts'
import {writableIdentity} from '../states/identity.ts'
import {rememberSql} from '../states/remember.ts'
import {type Attempt, storedSettingsOf, triggerOf} from './attempt.ts'
import {oneIf, type SnapshotGuard} from './base-relations.ts'

/** How long since the message arrived, which both now() and statement_timestamp() tell. */
const ELAPSED_MS =
  'least(round(extract(epoch from clock_timestamp() - statement_timestamp()) * 1000), 2147483647)::int'

/** The values of a success record, with their types; in this order. */
const RECORD_TYPES = {
  runId: 'uuid',
  schema: 'text',
  view: 'text',
  relation: 'text',
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
 * literals; a session that keeps statements has it planned beforehand. The statement fails with SQLSTATE 22012
 * unless the guard holds.
 */
export async function successRecord(
  db: Database,
  attempt: Attempt,
  guard: SnapshotGuard | null = null,
): Promise<string> {
  const {session} = db
  const {registration, mode, runId, job} = attempt
  const identity = await writableIdentity(db)
  const literal = (value: string | null) => (value === null ? 'null' : session.literal(value))
  const values: RecordValues = {
    runId: literal(runId),
    schema: literal(registration.schemaName),
    view: literal(registration.viewName),
    relation: literal(quoteViewName(registration)),
    mode: literal(mode),
    trigger: literal(triggerOf(attempt)),
    jobId: literal(job?.id ?? null),
    workerId: literal(job?.workerId ?? null),
    attempt: String(job?.attempt ?? 'null'),
    token: literal(job?.token ?? null),
    databaseOid: String(identity?.databaseOid ?? 'null'),
    systemIdentifier: identity?.systemIdentifier ?? 'null',
    lockWaitMs: String(Math.round(attempt.lockWaitMs)),
    settings: literal(storedSettingsOf(attempt)),
    reason: literal(attempt.reason),
  }
  const isRemembered = guard !== null && guard.viewOid !== null && guard.viewOid === job?.rememberedOid
  const options: RecordOptions = {
    hasJob: job !== null,
    remembers: identity !== null && !isRemembered,
    // The columns came with the tables.
    hasLockWait: db.has('states'),
    hasReasons: db.has('policies'),
    guard,
  }
  if (!session.keepsStatements) {
    const expressions = NAMES.map((name) => [name, `${values[name]}::${RECORD_TYPES[name]}`])
    const ofGuard = guard?.values.map((value, position) => `${value}::${guard.types[position]}`)
    return recordSql(db, options, Object.fromEntries(expressions) as RecordValues, ofGuard)
  }
  const statement = await session.prepare(
    purposeOf(options),
    [...Object.values(RECORD_TYPES), ...(guard?.types ?? [])],
    () => {
      const ofGuard = guard?.values.map((_value, position) => `$${NAMES.length + position + 1}`)
      return recordSql(db, options, PARAMETERS, ofGuard)
    },
  )
  const all = NAMES.map((name) => values[name])
  if (guard) all.push(...guard.values)
  return `execute ${statement} (${all.join(', ')})`
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
  guard: SnapshotGuard | null
}

/** What tells the statements of a session apart. */
const purposeOf = ({hasJob, remembers, hasLockWait, hasReasons, guard}: RecordOptions): string =>
  `record ${hasJob} ${remembers} ${hasLockWait} ${hasReasons} ${guard?.kind}`

function recordSql(
  {session, tables}: Database,
  {hasJob, remembers, hasLockWait, hasReasons, guard}: RecordOptions,
  v: RecordValues,
  ofGuard: readonly string[] = [],
): string {
  const lockWait = hasLockWait
    ? {column: ', lock_wait_ms', value: `,\n         ${v.lockWaitMs}`}
    : {column: '', value: ''}
  const reasons = hasReasons
    ? {columns: ', settings, reason', values: `, ${v.settings}, ${v.reason}`}
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
  const seen = {...v, oid: '(select done.oid from done)', when: 'exists (select from j)'}
  const remember = remembers ? `,\n${rememberSql(tables, seen)}` : ''
  // Whoever looks at a view that reads this one sees at once that a concurrent refresh has changed rows.
  const flush = session.serverVersion >= 150_000 ? ', pg_stat_force_next_flush()' : ''
  // Nobody asks a worker for the registration.
  const registration = hasJob ? 'null::uuid as id' : REGISTRATION.select('r')
  // EXECUTE copies the columns at the end with all that stands in them: so the columns are plain names.
  return `with done as materialized (
  select ${ELAPSED_MS} as ms, clock_timestamp() as at, to_regclass(${v.relation})::oid as oid${flush}),
${end}
run as (
  insert into ${tables.runs} (id, schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, duration_ms, status, size_bytes${lockWait.column}${reasons.columns})
  select ${v.runId}, ${v.schema}, ${v.view}, ${v.mode}, ${v.trigger},
         j.id, ${v.workerId}, statement_timestamp(), done.ms, 'success', pg_total_relation_size(done.oid)${lockWait.value}${reasons.values}
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
select x.* from (
  select ${registration}, ${isoInstant('statement_timestamp()')} as run_started_at,
         done.ms${guard ? ` * ${oneIf(guard.holds('done.oid', ofGuard))}` : ''} as run_duration_ms, exists (select from j) as is_settled,
         exists (select from j) and not exists (select from free) as is_status_pending
    from done${hasJob ? '' : ' left join r on true'} offset 0) x`
}
