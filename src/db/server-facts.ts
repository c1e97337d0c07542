import {presentable} from '../lib/outside-text.ts'
import type {ServerFacts} from '../lib/records/server.ts'
import type {Database} from './database.ts'

/** Where a session is connected, and as whom. */
export async function readServerFacts({
  session,
}: Database): Promise<Pick<ServerFacts, 'database' | 'host' | 'role' | 'serverVersion'>> {
  const [row] = await session.query<{database: string; role: string; version: string}>(
    `select current_database() as database, current_user as role, current_setting('server_version') as version`,
  )
  const {host} = session.target
  return {
    database: presentable(row?.database ?? ''),
    host: host.startsWith('/') || host === '' ? null : host,
    role: presentable(row?.role ?? ''),
    serverVersion: row?.version ?? '',
  }
}
