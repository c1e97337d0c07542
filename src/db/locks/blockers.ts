import type {Blocker} from '../../lib/errors.ts'
import {lockName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Session} from '../session.ts'
import {heldKey, viewKey} from './advisory-keys.ts'

/** Who holds the lock of a view, as far as this role may see. */
export const findLockHolder = (session: Session, view: ViewName): Promise<Blocker | null> =>
  findHolder(session, viewKey('$1'), lockName(view))

/** Who holds the advisory lock of a 64-bit key. */
export const findKeyHolder = (session: Session, key: string): Promise<Blocker | null> =>
  findHolder(session, '$1::bigint', key)

/** Who holds or waits for the advisory lock of a 64-bit key exclusively. */
export const findKeyWaiter = (session: Session, key: string): Promise<Blocker | null> =>
  findHolder(session, '$1::bigint', key, "l.mode = 'ExclusiveLock'")

/** `key` and `which` are SQL. */
async function findHolder(
  session: Session,
  key: string,
  value: string,
  which = 'l.granted',
): Promise<Blocker | null> {
  const rows = await session.query<BlockerRow>(
    `select ${HOLDER_COLUMNS}
       from pg_locks l
       ${HOLDER_JOINS}
      where l.locktype = 'advisory' and l.objsubid = 1 and ${which} and l.pid is distinct from pg_backend_pid()
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and ${heldKey('l')} = ${key}
      limit 1`,
    [value],
  )
  return rows[0] ? toBlocker(rows[0]) : null
}

/** A row of BLOCKER_COLUMNS. */
export interface BlockerRow {
  pid: number
  usename: string | null
  application_name: string | null
  state: string | null
  transaction_age_ms: string | null
}

/** SQL: the facts about a blocking session, from pg_stat_activity under alias `a`. */
export const BLOCKER_COLUMNS = `a.pid, a.usename, nullif(a.application_name, '') as application_name, a.state,
       round(extract(epoch from clock_timestamp() - a.xact_start) * 1000)::bigint as transaction_age_ms`

/**
 * SQL: who holds a lock, from pg_locks under alias `l`, with HOLDER_JOINS. A prepared transaction has no
 * backend: its locks are reported with pid 0 and the name of the transaction.
 */
export const HOLDER_COLUMNS = `coalesce(l.pid, 0) as pid, coalesce(a.usename, p.owner) as usename,
       case when p.gid is null then nullif(a.application_name, '') else format('prepared transaction %I', p.gid) end as application_name,
       a.state,
       round(extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000)::bigint as transaction_age_ms`

/**
 * A prepared transaction keeps the virtual transaction id of the session that prepared it, until the server
 * is restarted. Its lock on its own transaction id tells which one it is.
 */
export const HOLDER_JOINS = `left join pg_stat_activity a on a.pid = l.pid
       left join (
         select t.virtualtransaction, x.gid, x.owner, x.prepared
           from pg_locks t join pg_prepared_xacts x on x.transaction = t.transactionid
          where t.locktype = 'transactionid' and t.pid is null) p
         on l.pid is null and p.virtualtransaction = l.virtualtransaction`

export const toBlocker = (row: BlockerRow): Blocker => ({
  pid: row.pid,
  user: row.usename,
  applicationName: row.application_name,
  state: row.state,
  transactionAgeMs: row.transaction_age_ms === null ? null : Number(row.transaction_age_ms),
})
