import {quoteViewName} from '../../lib/identifier.ts'
import type {Database} from '../database.ts'
import {isoInstantOfClock} from '../instant.ts'
import {messageStatement, oneIf, type Parameter, parameter} from '../message-statement.ts'
import {claimedJob, LOCK_OF_CLAIMED} from '../queue/claim-sql.ts'
import type {ClaimRequest} from '../queue/claims.ts'
import {REGISTRATION} from '../registrations.ts'
import type {Session} from '../session.ts'
import type {DatabaseIdentity} from '../states/identity.ts'
import {rememberSql} from '../states/remember.ts'
import {isRemembered} from '../states/remembered-oids.ts'
import {type Attempt, storedSettingsOf, triggerOf} from './attempt.ts'
import type {SnapshotGuard} from './base-relations.ts'
import {endSql} from './job-end-sql.ts'

/** How long since the message arrived, which both now() and statement_timestamp() tell. */
const ELAPSED_MS =
  'least(round(extract(epoch from clock_timestamp() - statement_timestamp()) * 1000), 2147483647)::int'

/** What a record needs to know beside its attempt. */
interface RecordContext {
  guard: SnapshotGuard | null
  /** Null where ayb cannot store what it sees of views. */
  identity: DatabaseIdentity | null
  /** Null for no claim. */
  claim: ClaimRequest | null
}

/**
 * The statement that records a success behind REFRESH, in its transaction: run, registration and the job's
 * end. A job that is no longer ours leaves everything as it is. Where another session holds the row of the
 * registration, the statement leaves that row for later (`is_free`): readers of the view wait until
 * this transaction ends. It travels with REFRESH in one message, which takes no parameters, so its values are
 * literals; a session that keeps statements has it planned beforehand. The statement fails with SQLSTATE
 * 22012 unless the guard holds.
 *
 * With `claim`, which takes a job and a session that keeps statements, the statement also claims the next job
 * and takes the lock of its view at once: one UPDATE of both jobs costs the server less than one UPDATE each,
 * unless many slots are after the same job.
 */
export function successRecord(
  db: Database,
  attempt: Attempt,
  {guard, identity, claim: wanted}: RecordContext,
): Promise<string> {
  const {registration, job} = attempt
  const claim = job ? wanted : null
  const viewOid = guard?.viewOid ?? null
  const remembers = identity !== null && !(viewOid !== null && isRemembered(db, registration, viewOid))
  const settings = storedSettingsOf(attempt)
  const options: RecordOptions = {
    hasJob: job !== null,
    remembers,
    // The columns came with the tables.
    hasLockWait: db.has('states'),
    hasReasons: db.has('policies') && (attempt.reason !== null || settings !== null),
    guard,
    claim: claim && {isBounded: !!claim.bound},
  }
  const values = recordValues(db.session, attempt)
  if (identity && remembers) values.push(...identityValues(db.session, identity))
  if (options.hasReasons) values.push(...reasonValues(db.session, attempt.reason, settings))
  const ofGuard = guard?.parameters ?? []
  const ofClaim = claim ? claimValues(db.session, claim) : []
  const all = [...values.map(([, value]) => value), ...ofGuard, ...ofClaim]
  return messageStatement(db.session, purposeOf(db, options), all, (expressions) =>
    recordSql(
      db,
      options,
      Object.fromEntries(
        values.map(([name], position) => [name, expressions[position]]),
      ) as RecordExpressions,
      expressions.slice(values.length, values.length + ofGuard.length),
      expressions.slice(values.length + ofGuard.length),
    ),
  )
}

/** SQL: an expression for each value of the record. A record has the last four only where it needs them. */
type RecordExpressions = Record<
  | 'runId'
  | 'schema'
  | 'view'
  | 'relation'
  | 'mode'
  | 'trigger'
  | 'jobId'
  | 'workerId'
  | 'attempt'
  | 'token'
  | 'lockWaitMs'
  | 'databaseOid'
  | 'systemIdentifier'
  | 'settings'
  | 'reason',
  string
>

type RecordValue = [name: keyof RecordExpressions, value: Parameter]

function recordValues(session: Session, attempt: Attempt): RecordValue[] {
  const {registration, job} = attempt
  return [
    ['runId', parameter(session, 'uuid', attempt.runId)],
    ['schema', parameter(session, 'text', registration.schemaName)],
    ['view', parameter(session, 'text', registration.viewName)],
    ['relation', parameter(session, 'text', quoteViewName(registration))],
    ['mode', parameter(session, 'text', attempt.mode)],
    ['trigger', parameter(session, 'text', triggerOf(attempt))],
    ['jobId', parameter(session, 'uuid', job?.id ?? null)],
    ['workerId', parameter(session, 'text', job?.workerId ?? null)],
    ['attempt', parameter(session, 'int', job?.attempt ?? null)],
    ['token', parameter(session, 'text', job?.token ?? null)],
    ['lockWaitMs', parameter(session, 'bigint', Math.round(attempt.lockWaitMs))],
  ]
}

/** For a record that remembers the view alone: the server reads each parameter anew for each refresh. */
const identityValues = (
  session: Session,
  {databaseOid, systemIdentifier}: DatabaseIdentity,
): RecordValue[] => [
  ['databaseOid', parameter(session, 'oid', databaseOid)],
  ['systemIdentifier', parameter(session, 'bigint', systemIdentifier)],
]

const reasonValues = (session: Session, reason: string | null, settings: string | null): RecordValue[] => [
  ['settings', parameter(session, 'jsonb', settings)],
  ['reason', parameter(session, 'text', reason)],
]

/** The values of a claim, in the order of the parameters of the statement. */
function claimValues(
  session: Session,
  {workerId, leaseMs, busyViews, notBefore, bound}: ClaimRequest,
): Parameter[] {
  const array = (texts: readonly string[], type: string): Parameter => ({
    type,
    literal: `array[${texts.map((text) => session.literal(text)).join(', ')}]::${type}`,
  })
  const values = [
    parameter(session, 'text', workerId),
    parameter(session, 'float8', leaseMs),
    array(busyViews, 'text[]'),
    parameter(session, 'timestamptz', notBefore ?? '-infinity'),
  ]
  if (bound) values.push(parameter(session, 'timestamptz', bound.until), array(bound.jobIds, 'uuid[]'))
  return values
}

interface RecordOptions {
  hasJob: boolean
  /** Whether the statement remembers the OID of the view. */
  remembers: boolean
  /** Whether the history has a column for how long the refresh waited for the lock. */
  hasLockWait: boolean
  /** Whether to record the settings of the refresh, or why the refresh was not as asked for. */
  hasReasons: boolean
  guard: SnapshotGuard | null
  /** Null where the statement claims nothing. */
  claim: {isBounded: boolean} | null
}

/** A claim reads these tables where the role may. */
const TABLES_OF_CLAIM = ['policies', 'schedulePolicies', 'edges'] as const

/** What tells the statements of a session apart. */
const purposeOf = (
  db: Database,
  {hasJob, remembers, hasLockWait, hasReasons, guard, claim}: RecordOptions,
): string =>
  `record ${hasJob} ${remembers} ${hasLockWait} ${hasReasons} ${guard?.kind} ${claim && `${claim.isBounded} ${TABLES_OF_CLAIM.map((table) => db.mayRead(table))}`}`

function recordSql(
  db: Database,
  {hasJob, remembers, hasLockWait, hasReasons, guard, claim}: RecordOptions,
  v: RecordExpressions,
  ofGuard: readonly string[],
  ofClaim: readonly string[],
): string {
  const {session, tables} = db
  const lockWait = hasLockWait
    ? {column: ', lock_wait_ms', value: `,\n         ${v.lockWaitMs}`}
    : {column: '', value: ''}
  const reasons = hasReasons
    ? {columns: ', settings, reason', values: `, ${v.settings}, ${v.reason}`}
    : {columns: '', values: ''}
  const end = hasJob ? endSql(tables, v, claim ? ofClaim : null) : 'j as (select null::uuid as id)'
  const next = claim && claimedJob(db)
  const seen = {...v, oid: '(select done.oid from done)', when: 'exists (select from j)'}
  const remember = remembers ? `,\n${rememberSql(tables, seen)}` : ''
  // Whoever looks at a view that reads this one sees at once that a concurrent refresh has changed rows.
  const flush = session.serverVersion >= 150_000 ? ', pg_stat_force_next_flush()' : ''
  // Nobody asks a worker for the registration.
  const registration = hasJob ? 'null::uuid as id' : REGISTRATION.select('r')
  const named = `to_regclass(${v.relation})::oid`
  // The claim takes a lock that outlives a rollback, so the guard is checked before the claim.
  const checked = guard ? ` * ${oneIf(guard.holds(named, ofGuard))}` : ''
  // Where the guard holds, the name has the OID that the guard compares.
  const oid = guard?.viewOid ? ofGuard[0] : named
  // EXECUTE copies the columns at the end with all that stands in them: so the columns are plain names.
  return `with done as materialized (
  select ${ELAPSED_MS}${checked} as ms, clock_timestamp() as at, ${oid} as oid${flush}),
${end},
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
   where r.id = free.id${hasJob ? '' : '\nreturning r.*'})${remember}${claim ? `,\n${LOCK_OF_CLAIMED.cte}` : ''}
select x.* from (
  select ${registration}, ${isoInstantOfClock('statement_timestamp()')} as run_started_at,
         done.ms as run_duration_ms, exists (select from j) as is_settled, exists (select from free) as is_free${remembers ? `,\n         case when exists (select from remembered) or exists (select from same) then done.oid::text end as remembered_oid` : ''}${next ? `,\n         ${next.columns}, u.is_tried, ${LOCK_OF_CLAIMED.columns}` : ''}
    from done${hasJob ? '' : ' left join r on true'}${next ? ` left join claimed u on true${next.join}${LOCK_OF_CLAIMED.join}` : ''} offset 0) x`
}
