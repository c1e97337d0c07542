import {dropOnAbort} from '../../lib/abort.ts'
import {type Connected, type ConnectOptions, connect} from '../connection/connect.ts'
import {NoAnswer, translateError, unsupportedServer} from '../sqlstate.ts'
import {isPooled} from './pooling.ts'
import {findOwnBeginning, useOwnDefaults} from './settings.ts'

const OLDEST_SERVER = 140_000

/** A server answers these statements at once after the log-in. A server that takes longer has stalled. */
const PREPARE_DEADLINE_MS = 10_000

/** Why a server takes no writes: it follows another one, or the role or database says so by default. */
export type ReadOnlyReason = 'recovery' | 'default_transaction_read_only'

/** What a session knows of its server and its backend. */
interface SessionFacts {
  /** Of the backend; behind a pooler, of the one that was there first, which may serve anybody by now. */
  pid: number
  /** With the pid, what tells this backend from a later one of the same number: seconds since 1970, exact. */
  backendStart: string | null
  /** As server_version_num has it: 180004 is 18.4. */
  version: number
  /** Of the database, as Postgres names it. */
  encoding: string
  readOnlyReason: ReadOnlyReason | null
  /** How long a backend waits for a lock before it looks for a deadlock. */
  deadlockTimeoutMs: number
}

/** A connection with the settings that every session of ours relies on. */
export interface OpenConnection {
  connected: Connected
  server: SessionFacts
  /** What begins each transaction behind a pooler; null without one. */
  pooledBeginning: string | null
}

/**
 * Connects and sets what every session of ours relies on.
 * @throws AybError CONNECTION_FAILED, UNSUPPORTED_SERVER, INVALID_ARGUMENT
 */
export async function openConnection(options: ConnectOptions): Promise<OpenConnection> {
  const connected = await connect(options)
  try {
    return await dropOnAbort(connected, options.signal, () => prepareConnection(connected, options))
  } catch (error) {
    connected.client.end().catch(() => {})
    throw translateError(error, connected.target)
  }
}

async function prepareConnection(connected: Connected, {env}: ConnectOptions): Promise<OpenConnection> {
  const {client} = connected
  let isLate = false
  const deadline = setTimeout(() => {
    isLate = true
    connected.destroy()
  }, PREPARE_DEADLINE_MS)
  try {
    const server = await readSessionFacts(connected)
    if (server.version < OLDEST_SERVER) throw unsupportedServer(server.version)
    const pooledBeginning = isPooled(env, connected.processId, server.pid)
      ? await findOwnBeginning(client, server)
      : null
    if (pooledBeginning === null) await useOwnDefaults(client, server)
    return {connected, server, pooledBeginning}
  } catch (error) {
    throw isLate ? new NoAnswer(PREPARE_DEADLINE_MS) : error
  } finally {
    clearTimeout(deadline)
  }
}

interface ServerRow {
  pid: number
  backend_start: string | null
  version: string
  in_recovery: boolean
  read_only: string
  encoding: string
  deadlock_timeout_s: string
}

async function readSessionFacts({client}: Connected): Promise<SessionFacts> {
  // Names with their schema and no operators: the search_path is still the role's.
  const {rows} = await client.query<ServerRow>(
    `select pg_catalog.pg_backend_pid() as pid,
            (select extract(epoch from backend_start)::pg_catalog.text
               from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())) as backend_start,
            pg_catalog.current_setting('server_version_num') as version,
            pg_catalog.pg_is_in_recovery() as in_recovery,
            pg_catalog.current_setting('default_transaction_read_only') as read_only,
            pg_catalog.current_setting('server_encoding') as encoding,
            extract(epoch from pg_catalog.current_setting('deadlock_timeout')::pg_catalog.interval)::pg_catalog.text as deadlock_timeout_s`,
  )
  const row = rows[0] as ServerRow
  return {
    pid: row.pid,
    backendStart: row.backend_start,
    version: Number(row.version),
    encoding: row.encoding,
    readOnlyReason: readOnlyReasonOf(row),
    deadlockTimeoutMs: Number(row.deadlock_timeout_s) * 1000,
  }
}

function readOnlyReasonOf(row: Pick<ServerRow, 'in_recovery' | 'read_only'>): ReadOnlyReason | null {
  if (row.in_recovery) return 'recovery'
  return row.read_only === 'on' ? 'default_transaction_read_only' : null
}
