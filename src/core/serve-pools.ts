import type {ConnectOptions} from '../db/connection/connect.ts'
import {Server} from '../db/database.ts'
import {DatabasePool} from '../db/pool.ts'
import type {OpenOptions, Session} from '../db/session.ts'
import {AybError} from '../lib/errors.ts'
import {openReaders, type ReaderPool} from './readers.ts'

/** The database sessions of an HTTP server: no kind of request can use up the sessions of another kind. */
export interface ServePools {
  /** For short requests. */
  pool: DatabasePool
  /** For reading views. */
  readers: ReaderPool
  /** For refreshes, one session each. A refresh may take hours. */
  refreshes: DatabasePool
  /** Opens a session for notifications. */
  openSession: Server['openSession']
  /** Whether the database was reached through a pooler. */
  isPooled: boolean
}

interface ServeConnections {
  collectionsUrl: string | null
  signal: AbortSignal
  /** Tells a person about the first session that is opened. */
  telling: <T extends {session: Session}>(
    open: (how: OpenOptions) => Promise<T>,
  ) => (how: OpenOptions) => Promise<T>
}

const SESSIONS = 8
const READERS = 8
const REFRESHES = 16

/** What a request gets when all sessions are busy. */
const FOR_REQUESTS = {
  patienceMs: 30_000,
  whenBusy: () =>
    new AybError('TIMEOUT', 'all database sessions of the HTTP server stayed busy for 30 s', {
      hint: 'try again; see pg_stat_activity for what they wait for',
    }),
}
const FOR_REFRESHES = {
  patienceMs: 10_000,
  whenBusy: () =>
    new AybError('TIMEOUT', `${REFRESHES} refreshes are running already`, {
      hint: 'try again when one is done',
    }),
}

/**
 * Makes the pools, and connects once with each login.
 * @throws AybError CONNECTION_FAILED and whatever else keeps a session from being opened
 */
export async function openServePools(
  connection: ConnectOptions,
  {collectionsUrl, signal, telling}: ServeConnections,
): Promise<ServePools> {
  const server = new Server(connection)
  const open = telling(server.open.bind(server))
  const pool = new DatabasePool(open, {size: SESSIONS, isKept: true, ...FOR_REQUESTS})
  const openAnyReader = openReaders(connection, collectionsUrl, pool)
  const openReader = collectionsUrl === null ? openAnyReader : telling(openAnyReader)
  const readers = new DatabasePool(openReader, {size: READERS, isKept: true, ...FOR_REQUESTS})
  const refreshes = new DatabasePool(open, {size: REFRESHES, isKept: false, ...FOR_REFRESHES})
  const isPooled = await pool.use(async ({session}) => session.isPooled, signal)
  if (collectionsUrl !== null) {
    await readers
      .use(async () => {}, signal)
      .catch(async (error) => {
        // An open session would keep the process alive.
        await pool.close()
        throw error
      })
  }
  return {pool, readers, refreshes, openSession: server.openSession.bind(server), isPooled}
}
