import type {Database} from '../db/database.ts'
import {readServerFacts} from '../db/server-facts.ts'
import type {ServerFacts} from '../lib/records/server.ts'
import {workersAlive} from './workers.ts'

/** What a client of the API wants to know of the server and its database. */
export async function serverFacts(
  db: Database,
  own: Pick<ServerFacts, 'version' | 'access'>,
): Promise<ServerFacts> {
  const {alive} = await workersAlive(db)
  return {...(await readServerFacts(db)), ...own, workers: alive}
}
