import {numberOf} from '../instant.ts'
import type {Session} from '../session.ts'

/** What the server has written until now; null where it does not tell. */
export interface Usage {
  walBytes: number | null
  tempBytes: number | null
}

/** The first version that reports the figures of a session at once when asked to. */
const WITH_FORCED_REPORTS = 150_000

/**
 * The WAL of the server and the temporary files of the database so far, those of others included. Call it in
 * the session that does the work, whose figures would come a second late otherwise.
 */
export async function readUsage(session: Session): Promise<Usage> {
  const isExact = session.serverVersion >= WITH_FORCED_REPORTS && !session.isPooled
  if (isExact) await session.query('select pg_stat_force_next_flush()')
  const rows = await session.query<{wal: string; temp: string | null}>(
    `select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text as wal,
            (select s.temp_bytes::text from pg_stat_database s where s.datname = current_database()) as temp`,
  )
  const {wal = null, temp = null} = rows[0] ?? {}
  return {walBytes: numberOf(wal), tempBytes: isExact ? numberOf(temp) : null}
}
