import type {ConnectOptions} from '../db/connection/connect.ts'
import type {DatabasePool} from '../db/pool.ts'
import {homeOf, Reader} from '../db/reader.ts'
import type {OpenOptions} from '../db/session.ts'

/** Sessions that read views. */
export type ReaderPool = DatabasePool<Reader>

/**
 * How to open sessions that read views: connected as all others are, or with the URL of a login of their own,
 * which is checked against the database and role of `pool`.
 */
export function openReaders(
  connection: ConnectOptions,
  loginUrl: string | null,
  pool: DatabasePool,
): (how: OpenOptions) => Promise<Reader> {
  return async (how) => {
    if (loginUrl === null) return Reader.open({...connection, ...how}, null)
    const home = await pool.use(homeOf, how.signal)
    return Reader.open({...connection, databaseUrl: loginUrl, urlName: COLLECTIONS_URL, ...how}, home)
  }
}

const COLLECTIONS_URL = 'AYB_COLLECTIONS_URL'
