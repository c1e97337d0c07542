import {JOB_TYPE, type RefreshMode, type RefreshTarget, type ViewPolicy} from '../../lib/records.ts'
import type {Database} from '../database.ts'
import {exactInstant} from '../instant.ts'
import {viewKey} from '../locks/advisory-keys.ts'
import {heldLock, type LockAnswer} from '../locks/refresh-lock.ts'
import {lockNameOf, payloadOrNote, readablePayload, viewInPayload} from '../payload.ts'
import {policyOf, toPolicy} from '../policies.ts'
import type {Session} from '../session.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {type DatabaseIdentity, databaseIdentity, forgetRights, stateRights} from '../states/identity.ts'
import type {RefreshJob} from './fence.ts'
import {LOCK_TRIES, type LockTries} from './lock-tries.ts'

/** A job that was claimed, with what its refresh needs to know. */
export interface ClaimedJob extends RefreshJob {
  payload: unknown
  maxAttempts: number
  /** How long after its time it was claimed, by the server's clock, in milliseconds. */
  latenessMs: number
  /** Of the view that the payload names; null where there is none. */
  registration: RefreshTarget | null
  /**
   * The tries that waited in vain for the lock of its view, as far as the database knows; null where there
   * are none.
   */
  pastTries: LockTries | null
}

/**
 * A job that was claimed on the session that is to run it, and what came of taking the lock of its view at
 * once.
 */
export interface LockedJob {
  job: ClaimedJob
  /** Refused, too, where the payload names no view. */
  lock: LockAnswer
}

interface ClaimRow {
  job_id: string
  payload: unknown
  attempts: number
  max_attempts: number
  schedule_id: string | null
  token: string
  lateness_ms: number
  registration_id: string | null
  schema_name: string
  view_name: string
  refresh_mode: RefreshMode
  policy: ViewPolicy | null
  past_tries: LockTries | null
  remembered_oid: string | null
}

/** A claim that took the lock too. */
export interface LockedRow extends ClaimRow {
  lock_name: string | null
  locked_at: string | null
}

/** SQL: the view of a claimed job. */
const VIEW_OF_CLAIMED = viewInPayload(readablePayload('u.payload'))

/** How many jobs to claim, for whom and for how long, and the views that the worker refreshes right now. */
export interface ClaimRequest {
  slots: number
  workerId: string
  leaseMs: number
  busyViews: readonly string[]
  /**
   * Lower bound for run_at, to the microsecond; null where none is known. Without it, each claim rescans the
   * dead index entries that an old snapshot keeps alive.
   */
  notBefore: string | null
  /** What else is left alone; null where nothing is. */
  bound?: OnceBound | null
}

/**
 * What a worker that runs once may claim: jobs that were due at an instant, and those that it had in hand
 * since.
 */
export interface OnceBound {
  /** By the server's clock, to the microsecond. */
  until: string
  jobIds: readonly string[]
}

/**
 * SQL: the job under that alias is within the bound whose parameters are `$n`, the instant, and the one
 * behind it.
 */
export const isWithinBound = (alias: string, n: number): string =>
  `(${alias}.run_at <= $${n}::timestamptz or ${alias}.id = any ($${n + 1}::uuid[]))`

const CLAIM_TYPES = ['text', 'float8', 'text[]', 'timestamptz']
const BOUND_TYPES = ['timestamptz', 'uuid[]']

/**
 * Claims the oldest due jobs, no more than there are free slots, and none of a view that this worker
 * refreshes.
 */
export async function claimJobs(db: Database, request: ClaimRequest): Promise<ClaimedJob[]> {
  const {slots, workerId, leaseMs, busyViews, notBefore, bound} = request
  const values = [workerId, leaseMs, busyViews, notBefore ?? '-infinity']
  if (bound) values.push(bound.until, bound.jobIds)
  const states = await readableStates(db)
  const sql = claimSql(db, {isBounded: !!bound, states, limit: `$${values.length + 1}`})
  const rows = await db.session.query<ClaimRow>(sql, [...values, slots]).catch(async (error) => {
    if (hasSqlstate(error, SQLSTATE.INSUFFICIENT_PRIVILEGE, SQLSTATE.UNDEFINED_TABLE)) {
      forgetRights(db.session)
    }
    throw error
  })
  return rows.map((row) => toClaimedJob(row, workerId))
}

/**
 * The same for one job as a statement for the end of a script, on a session that keeps statements. The
 * session takes the lock of its view at once: a statement more would be a good part of what a small refresh
 * costs.
 */
export async function claimBehind(db: Database, request: Omit<ClaimRequest, 'slots'>): Promise<string> {
  const {workerId, leaseMs, busyViews, notBefore, bound} = request
  const types = bound ? [...CLAIM_TYPES, ...BOUND_TYPES] : CLAIM_TYPES
  const states = await readableStates(db)
  const purpose = `claim${bound ? ' within a bound' : ''}${states ? ' with states' : ''}${db.mayRead('policies') ? ' with policies' : ''}`
  const statement = await db.session.prepare(purpose, types, () =>
    claimSql(db, {isBounded: !!bound, states, limit: null}),
  )
  const literal = (text: string) => db.session.literal(text)
  const array = (texts: readonly string[], type: string) =>
    `array[${texts.map(literal).join(', ')}]::${type}[]`
  const from = literal(notBefore ?? '-infinity')
  const limits = bound ? `, ${literal(bound.until)}, ${array(bound.jobIds, 'uuid')}` : ''
  return `execute ${statement} (${literal(workerId)}, ${leaseMs}, ${array(busyViews, 'text')}, ${from}${limits})`
}

/** Materialized: so that it is called once a row, and only for what was claimed. */
const LOCK_TOO = {
  cte: `,
     l as materialized (
       select n.name, pg_try_advisory_lock(${viewKey('n.name')}) as is_locked
         from (select ${lockNameOf('u')} as name from u offset 0) n)`,
  columns: `,
            l.name as lock_name, case when l.is_locked then ${exactInstant('clock_timestamp()')} end as locked_at`,
  join: `
       left join l on true`,
}

/** What a claim asks for beside the oldest due jobs. */
interface ClaimParts {
  isBounded: boolean
  /** Null where the role may not read the states of views. */
  states: ReadableStates | null
  /** An expression for how many jobs to claim; null to claim one job and to take the lock of its view. */
  limit: string | null
}

/** What the states of views tell on a session whose role may read them. */
interface ReadableStates {
  /** Null where views are not recognised by their OIDs. */
  identity: DatabaseIdentity | null
}

const readableStates = async (db: Database): Promise<ReadableStates | null> =>
  (await stateRights(db)).mayRead ? {identity: await databaseIdentity(db)} : null

/** SQL: what the state of the view of a claimed job tells; the registration is under alias `r`. */
function stateSql(db: Database, states: ReadableStates | null): {columns: string; join: string} {
  if (!states) return {columns: 'null::json as past_tries, null::text as remembered_oid', join: ''}
  const {identity} = states
  const isOfDatabase = identity
    ? `s.database_oid = ${identity.databaseOid} and s.system_identifier = ${identity.systemIdentifier}`
    : 'false'
  return {
    columns: 's.past_tries, s.remembered_oid',
    join: `
       left join lateral (
         select ${LOCK_TRIES} as past_tries, case when ${isOfDatabase} then s.view_oid::text end as remembered_oid
           from ${db.tables.states} s
          where s.schema_name = r.schema_name and s.view_name = r.view_name
         offset 0) s on true`,
  }
}

/**
 * Literals for state and type: with parameters the partial index would not be used. clock_timestamp(), not
 * now(): a claim that shares a refresh's transaction would see a time that is an hour old.
 */
function claimSql(db: Database, {isBounded, states, limit}: ClaimParts): string {
  const state = stateSql(db, states)
  const lock = limit === null ? LOCK_TOO : {cte: '', columns: '', join: ''}
  // EXECUTE copies the columns at the end with all that stands in them: so the columns are plain names.
  return `with clock as materialized (select clock_timestamp() as at),
     c as materialized (
       select j.id from ${db.tables.jobs} j
        where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= (select at from clock) and j.run_at >= $4
          and j.attempts < j.max_attempts
          and coalesce(${lockNameOf('j')} <> all ($3::text[]), true)${isBounded ? ` and ${isWithinBound('j', 5)}` : ''}
        order by j.run_at
        limit ${limit ?? 1}
          for no key update skip locked),
     u as (
       update ${db.tables.jobs} j
          set state = 'running', worker_id = $1, lease_until = clock.at + $2 * interval '1 ms', attempts = greatest(j.attempts, 0) + 1,
              last_run_at = clock.at, updated_at = clock.at
         from clock where j.id = ${limit === null ? '(select id from c)' : 'any (array(select id from c))'}
       returning j.id, j.payload, j.attempts, j.max_attempts, j.schedule_id, j.last_run_at, j.run_at,
                 case when isfinite(j.run_at) then clock.at - j.run_at else interval '0' end as lateness)${lock.cte}
     select x.* from (
     select u.id as job_id, ${payloadOrNote('u.payload')} as payload, u.attempts, u.max_attempts, u.schedule_id,
            ${exactInstant('u.last_run_at')} as token,
            greatest(round(extract(epoch from u.lateness) * 1000), 0)::float8 as lateness_ms,
            r.id as registration_id, r.schema_name::text, r.view_name::text, r.refresh_mode::text, ${policyOf(db, 'r.schema_name', 'r.view_name')} as policy,
            ${state.columns}${lock.columns}
       from u
       left join lateral (
         select r.id, r.schema_name, r.view_name, r.refresh_mode from ${db.tables.registrations} r
          where r.schema_name = ${VIEW_OF_CLAIMED.schema} and r.view_name = ${VIEW_OF_CLAIMED.view}
         offset 0) r on true${state.join}${lock.join}${limit === null ? '' : '\n      order by u.run_at'}
     offset 0) x`
}

const toClaimedJob = (row: ClaimRow, workerId: string): ClaimedJob => ({
  id: row.job_id,
  workerId,
  attempt: row.attempts,
  token: row.token,
  payload: row.payload,
  maxAttempts: row.max_attempts,
  scheduleId: row.schedule_id,
  latenessMs: row.lateness_ms,
  registration:
    row.registration_id === null
      ? null
      : {
          id: row.registration_id,
          schemaName: row.schema_name,
          viewName: row.view_name,
          refreshMode: row.refresh_mode,
          policy: toPolicy(row.policy),
        },
  pastTries: row.past_tries,
  rememberedOid: row.remembered_oid,
})

/** The row that `claimBehind` returned to that session. */
export const toLockedJob = (session: Session, row: LockedRow, workerId: string): LockedJob => ({
  job: toClaimedJob(row, workerId),
  lock:
    row.lock_name === null || row.locked_at === null
      ? 'refused'
      : heldLock(session, row.lock_name, row.locked_at),
})

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
