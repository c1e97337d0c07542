import {afterAll} from 'vitest'
import {type Database, Server} from '../../src/db/database.ts'

interface OpenOptions {
  env?: NodeJS.ProcessEnv
  applicationName?: string
  /** As the sessions of a worker do. */
  keepsStatements?: boolean
}

const open: Database[] = []

afterAll(() => Promise.all(open.map((db) => db.close())))

/** A session with the tables that it found, as the use cases take it; closed at the end of the file. */
export async function openDatabase(
  {url}: {url: string},
  {env = {}, applicationName = 'ayb test', keepsStatements = false}: OpenOptions = {},
): Promise<Database> {
  const db = await new Server({databaseUrl: url, env, applicationName, keepsStatements}).open()
  open.push(db)
  return db
}
