import {randomUUID} from 'node:crypto'
import pg from 'pg'
import {AybError, type Blocker} from '../lib/errors.ts'
import {lockName, quoteViewName} from '../lib/identifier.ts'
import type {Registration, ViewName} from '../lib/records.ts'
import type {Database} from './database.ts'
import {exactInstant} from './instant.ts'
import {REGISTRATION_COLUMNS, type RegistrationRow, toRegistration} from './registrations.ts'
import {SAFE_SEARCH_PATH, type Session} from './session.ts'
import {type Attempt, successRecord} from './settle.ts'

export interface RecordedRefresh {
  /** As it is after the refresh; null where it was unregistered meanwhile. */
  registration: Registration | null
  durationMs: number
  /** False where the job was no longer ours: the data is fresh, and nothing of it was recorded. */
  isSettled: boolean
}

/** The instant when the lock was taken, or null where another session holds it. */
export async function tryLock(session: Session, view: ViewName): Promise<string | null> {
  // Materialized: in a WHERE the planner may call it once a row, and each call needs its own unlock.
  const rows = await session.query<{is_locked: boolean; at: string}>(
    `with attempt as materialized (select pg_try_advisory_lock(hashtext($1)) as is_locked)
     select is_locked, ${exactInstant('statement_timestamp()')} as at from attempt`,
    [lockName(view)],
  )
  return rows[0]?.is_locked ? rows[0].at : null
}

export async function unlock(session: Session, view: ViewName): Promise<void> {
  const rows = await session.query<{is_unlocked: boolean}>(
    `select pg_advisory_unlock(hashtext(${literal(lockName(view))})) as is_unlocked`,
  )
  if (!rows[0]?.is_unlocked) throw new AybError('INTERNAL', `the lock of ${lockName(view)} was not held`)
}

/** Who holds the lock of a view, as far as this role may see. */
export async function findLockHolder(session: Session, view: ViewName): Promise<Blocker | null> {
  const rows = await session.query<BlockerRow>(
    `select ${BLOCKER_COLUMNS}
       from pg_locks l
       join pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'advisory' and l.granted and l.objsubid = 1
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and (l.classid::bigint << 32) | l.objid::bigint = hashtext($1)::bigint
      limit 1`,
    [lockName(view)],
  )
  return rows[0] ? toBlocker(rows[0]) : null
}

/** Which sessions the backend waits for right now. */
export async function findBlockers(session: Session, pid: number): Promise<Blocker[]> {
  const rows = await session.query<BlockerRow>(
    `select ${BLOCKER_COLUMNS}
       from pg_stat_activity a
      where a.pid = any (pg_blocking_pids($1))
      order by a.xact_start`,
    [pid],
  )
  return rows.map(toBlocker)
}

/**
 * REFRESH, its record and, right behind them, the unlock. Refresh and record are one message, so that no crash
 * comes between them, and the unlock is sent without waiting for the answer: a client that is stopped meanwhile
 * would keep the lock. A session whose unlock did not end as expected is dropped, and the lock with it.
 * @throws StatementError, or AybError CONNECTION_LOST
 */
export async function runRefresh(db: Database, attempt: Attempt): Promise<RecordedRefresh> {
  const {session} = db
  const view = attempt.registration
  const refreshed = session.script<SuccessRow>(refreshMessage(db, attempt))
  const unlocked = unlock(session, view).catch(() => session.destroy())
  const [outcome] = await Promise.allSettled([refreshed, unlocked])
  if (outcome.status === 'rejected') throw outcome.reason
  const row = outcome.value[0] as SuccessRow
  return toRecorded(row)
}

type SuccessRow = (RegistrationRow | {id: null}) & {run_duration_ms: number; is_settled: boolean}

const toRecorded = (row: SuccessRow): RecordedRefresh => ({
  registration: row.id === null ? null : toRegistration(row as RegistrationRow),
  durationMs: row.run_duration_ms,
  isSettled: row.is_settled,
})

function refreshMessage(db: Database, attempt: Attempt): string[] {
  const {session} = db
  const timeouts = [
    ...(attempt.timeoutMs === null ? [] : [`set local statement_timeout = ${attempt.timeoutMs}`]),
    ...(attempt.lockTimeoutMs === null ? [] : [`set local lock_timeout = ${attempt.lockTimeoutMs}`]),
  ]
  // Functions in a view may use bare names: until 16 they are found by the role's search_path, from 17 on
  // REFRESH sets a path of its own.
  const rolePath = session.serverVersion < 170_000 ? ['set local search_path = default'] : []
  const concurrently = attempt.mode === 'concurrent' ? 'concurrently ' : ''
  return [
    ...timeouts,
    ...rolePath,
    `refresh materialized view ${concurrently}${quoteViewName(attempt.registration)}`,
    `set local ${SAFE_SEARCH_PATH}`,
    'set local statement_timeout = 0',
    'set local lock_timeout = 0',
    successRecord(db, attempt),
  ]
}

/** After a lost connection: ends that backend if it still lives, and tells whether its refresh was committed. */
export async function findOutcome(
  session: Session,
  lost: {pid: number; backendStart: string | null},
  {tables}: Database,
  runId: string,
): Promise<RecordedRefresh | null> {
  await session.query(
    `select pg_terminate_backend(a.pid, 5000)
       from pg_stat_activity a
      where a.pid = $1 and extract(epoch from a.backend_start)::text = $2`,
    [lost.pid, lost.backendStart],
  )
  const rows = await session.query<SuccessRow>(
    `select ${REGISTRATION_COLUMNS}, h.duration_ms as run_duration_ms, true as is_settled
       from ${tables.runs} h
       left join ${tables.registrations} r on r.schema_name = h.schema_name and r.view_name = h.view_name
      where h.id = $1 and h.status = 'success'`,
    [runId],
  )
  const row = rows[0]
  return row ? toRecorded(row) : null
}

export const newRunId = (): string => randomUUID()

interface BlockerRow {
  pid: number
  usename: string | null
  application_name: string | null
  state: string | null
  transaction_age_ms: string | null
}

const BLOCKER_COLUMNS = `a.pid, a.usename, nullif(a.application_name, '') as application_name, a.state,
       round(extract(epoch from clock_timestamp() - a.xact_start) * 1000)::bigint as transaction_age_ms`

const toBlocker = (row: BlockerRow): Blocker => ({
  pid: row.pid,
  user: row.usename,
  applicationName: row.application_name,
  state: row.state,
  transactionAgeMs: row.transaction_age_ms === null ? null : Number(row.transaction_age_ms),
})

const literal = (text: string): string => pg.escapeLiteral(text)
