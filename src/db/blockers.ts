import type {Blocker} from '../lib/errors.ts'
import {lockName} from '../lib/identifier.ts'
import type {ViewName} from '../lib/records.ts'
import type {Session} from './session.ts'

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
