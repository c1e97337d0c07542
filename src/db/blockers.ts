import type {Blocker} from '../lib/errors.ts'
import {lockName} from '../lib/identifier.ts'
import type {ViewName} from '../lib/records.ts'
import type {Session} from './session.ts'

/** Who holds the lock of a view, as far as this role may see. */
export const findLockHolder = (session: Session, view: ViewName): Promise<Blocker | null> =>
  findHolder(session, 'hashtext($1)::bigint', lockName(view))

/** Who holds the advisory lock of a 64-bit key. */
export const findKeyHolder = (session: Session, key: string): Promise<Blocker | null> =>
  findHolder(session, '$1::bigint', key)

/** Who has or wants the advisory lock of a 64-bit key for itself alone. */
export const findKeyWaiter = (session: Session, key: string): Promise<Blocker | null> =>
  findHolder(session, '$1::bigint', key, "l.mode = 'ExclusiveLock'")

/**
 * `key` and `which` are SQL. A lock of a prepared transaction has no backend, and can be held for as long as anybody likes: it has
 * pid 0 and the name of the transaction.
 */
async function findHolder(
  session: Session,
  key: string,
  value: string,
  which = 'l.granted',
): Promise<Blocker | null> {
  const rows = await session.query<BlockerRow>(
    `select coalesce(l.pid, 0) as pid, coalesce(a.usename, p.owner) as usename,
            coalesce(nullif(a.application_name, ''), 'prepared transaction ' || quote_ident(p.gid)) as application_name, a.state,
            round(extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000)::bigint as transaction_age_ms
       from pg_locks l
       left join pg_stat_activity a on a.pid = l.pid
       left join pg_prepared_xacts p on l.pid is null and l.virtualtransaction = '-1/' || p.transaction::text
      where l.locktype = 'advisory' and l.objsubid = 1 and ${which} and l.pid is distinct from pg_backend_pid()
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and (l.classid::bigint << 32) | l.objid::bigint = ${key}
      limit 1`,
    [value],
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

/** A row of BLOCKER_COLUMNS. */
export interface BlockerRow {
  pid: number
  usename: string | null
  application_name: string | null
  state: string | null
  transaction_age_ms: string | null
}

/** SQL: what there is to tell of a session in the way, from pg_stat_activity under alias `a`. */
export const BLOCKER_COLUMNS = `a.pid, a.usename, nullif(a.application_name, '') as application_name, a.state,
       round(extract(epoch from clock_timestamp() - a.xact_start) * 1000)::bigint as transaction_age_ms`

export const toBlocker = (row: BlockerRow): Blocker => ({
  pid: row.pid,
  user: row.usename,
  applicationName: row.application_name,
  state: row.state,
  transactionAgeMs: row.transaction_age_ms === null ? null : Number(row.transaction_age_ms),
})
