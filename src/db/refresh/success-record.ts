import {quoteViewName} from '../../lib/identifier.ts'
import type {Database} from '../database.ts'
import {isoInstantOfClock} from '../instant.ts'
import {claimedJob, LOCK_OF_CLAIMED} from '../queue/claim-sql.ts'
import type {ClaimRequest} from '../queue/claims.ts'
import {REGISTRATION} from '../registrations.ts'
import type {Session} from '../session.ts'
import {writableIdentity} from '../states/identity.ts'
import {rememberSql} from '../states/remember.ts'
import {isRemembered} from '../states/remembered-oids.ts'
import {type Attempt, storedSettingsOf, triggerOf} from './attempt.ts'
import {oneIf, type SnapshotGuard} from './base-relations.ts'
import {endSql} from './job-end-sql.ts'

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
 * registration, the statement leaves that row for later (`is_free`): readers of the view wait until
 * this transaction ends. It travels with REFRESH in one message, which takes no parameters, so its values are
 * literals; a session that keeps statements has it planned beforehand. The statement fails with SQLSTATE
 * 22012 unless the guard holds.
 *
 * With `claim`, which takes a job and a session that keeps statements, the statement also claims the next job
 * and takes the lock of its view at once: one UPDATE of both jobs costs the server less than one UPDATE each,
 * unless many slots are after the same job.
 */
export async function successRecord(
  db: Database,
  attempt: Attempt,
  {guard = null, claim: wanted = null}: {guard?: SnapshotGuard | null; claim?: ClaimRequest | null} = {},
): Promise<string> {
  const {session} = db
  const {registration, mode, runId, job} = attempt
  const claim = job ? wanted : null
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
  const viewOid = guard?.viewOid ?? null
  const options: RecordOptions = {
    hasJob: job !== null,
    remembers: identity !== null && !(viewOid !== null && isRemembered(db, registration, viewOid)),
    // The columns came with the tables.
    hasLockWait: db.has('states'),
    hasReasons: db.has('policies') && (attempt.reason !== null || storedSettingsOf(attempt) !== null),
    guard,
    claim: claim && {isBounded: !!claim.bound},
  }
  if (!session.keepsStatements) {
    const expressions = Object.entries(RECORD_TYPES).map(([name, type]) => [
      name,
      `${values[name as keyof RecordValues]}::${type}`,
    ])
    const ofGuard = guard?.values.map((value, position) => `${value}::${guard.types[position]}`)
    return recordSql(db, options, Object.fromEntries(expressions) as RecordValues, ofGuard)
  }
  const ofClaim = claim ? claimValues(session, claim) : []
  const guardTypes = guard?.types ?? []
  const names = namesOf(options)
  const types = [...names.map((name) => RECORD_TYPES[name]), ...guardTypes, ...ofClaim.map(({type}) => type)]
  const statement = await session.prepare(purposeOf(db, options), types, () => {
    const parameters = types.map((_type, position) => `$${position + 1}`)
    const [firstOfGuard, firstOfClaim] = [names.length, names.length + guardTypes.length]
    return recordSql(
      db,
      options,
      Object.fromEntries(names.map((name, position) => [name, parameters[position]])) as RecordValues,
      parameters.slice(firstOfGuard, firstOfClaim),
      parameters.slice(firstOfClaim),
    )
  })
  const all = [
    ...names.map((name) => values[name]),
    ...(guard?.values ?? []),
    ...ofClaim.map(({value}) => value),
  ]
  return `execute ${statement} (${all.join(', ')})`
}

/** What a claim asks for, as literals in the order of the parameters of the statement. */
function claimValues(
  session: Session,
  {workerId, leaseMs, busyViews, notBefore, bound}: ClaimRequest,
): {value: string; type: string}[] {
  const literal = (text: string) => session.literal(text)
  const array = (texts: readonly string[], type: string) => `array[${texts.map(literal).join(', ')}]::${type}`
  return [
    {value: literal(workerId), type: 'text'},
    {value: String(leaseMs), type: 'float8'},
    {value: array(busyViews, 'text[]'), type: 'text[]'},
    {value: literal(notBefore ?? '-infinity'), type: 'timestamptz'},
    ...(bound
      ? [
          {value: literal(bound.until), type: 'timestamptz'},
          {value: array(bound.jobIds, 'uuid[]'), type: 'uuid[]'},
        ]
      : []),
  ]
}

const NAMES = Object.keys(RECORD_TYPES) as (keyof RecordValues)[]
const OF_REASONS: readonly (keyof RecordValues)[] = ['settings', 'reason']
const OF_IDENTITY: readonly (keyof RecordValues)[] = ['databaseOid', 'systemIdentifier']
const WITHOUT_REASONS = NAMES.filter((name) => !OF_REASONS.includes(name))
const WITHOUT_IDENTITY = NAMES.filter((name) => !OF_IDENTITY.includes(name))
const WITHOUT_BOTH = WITHOUT_REASONS.filter((name) => !OF_IDENTITY.includes(name))

/** The values that a record takes as parameters: the server reads each parameter anew for each refresh. */
function namesOf({remembers, hasReasons}: RecordOptions): readonly (keyof RecordValues)[] {
  if (remembers) return hasReasons ? NAMES : WITHOUT_REASONS
  return hasReasons ? WITHOUT_IDENTITY : WITHOUT_BOTH
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
  v: RecordValues,
  ofGuard: readonly string[] = [],
  ofClaim: readonly string[] = [],
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
   where r.id = free.id
returning r.*)${remember}${claim ? `,\n${LOCK_OF_CLAIMED.cte}` : ''}
select x.* from (
  select ${registration}, ${isoInstantOfClock('statement_timestamp()')} as run_started_at,
         done.ms as run_duration_ms, exists (select from j) as is_settled, exists (select from free) as is_free${remembers ? `,\n         case when exists (select from remembered) or exists (select from same) then done.oid::text end as remembered_oid` : ''}${next ? `,\n         ${next.columns}, u.is_tried, ${LOCK_OF_CLAIMED.columns}` : ''}
    from done${hasJob ? '' : ' left join r on true'}${next ? ` left join claimed u on true${next.join}${LOCK_OF_CLAIMED.join}` : ''} offset 0) x`
}
