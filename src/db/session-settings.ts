import type pg from 'pg'
import {isFatal} from './sqlstate.ts'

/** Resolves only names of Postgres itself: a function or operator in `public` never shadows one we call. */
export const SAFE_SEARCH_PATH = 'search_path = pg_catalog, pg_temp'

/**
 * What a role or database may have set, and what no statement of ours may depend on: a refresh takes as long
 * as it takes.
 */
const NO_LIMITS = ['statement_timeout = 0', 'lock_timeout = 0', 'idle_in_transaction_session_timeout = 0']

/** Compiling a statement of ours takes longer than running it. REFRESH and pages of views have the role's own setting. */
const NO_JIT = 'jit = off'

/** Bookkeeping is READ COMMITTED. */
const TRANSACTIONS = [
  'idle_session_timeout = 0',
  "default_transaction_isolation = 'read committed'",
  'default_transaction_deferrable = off',
]

/**
 * How soon the server notices that this process is gone, in the middle of a statement too: without these it
 * runs the statement to its end and commits it. Not every platform of a server has all of them.
 */
const CLIENT_CHECK = "client_connection_check_interval = '1s'"
const DEAD_NETWORK_DETECTION = [
  "tcp_keepalives_idle = '10s'",
  "tcp_keepalives_interval = '5s'",
  'tcp_keepalives_count = 3',
  "tcp_user_timeout = '30s'",
]

/**
 * A database in SQL_ASCII holds any bytes, and Postgres refuses to send a client in UTF8 a row with one that is not UTF-8:
 * one name would fail the list of all. Unchecked, such a byte is read as U+FFFD. What ayb sends stays UTF-8.
 */
const encodingFor = (serverEncoding: string): string[] =>
  serverEncoding === 'SQL_ASCII' ? ["client_encoding = 'SQL_ASCII'"] : []

/** `transaction_timeout` came with 17. */
const limitsOf = (serverVersion: number): string[] =>
  serverVersion >= 170_000 ? [...NO_LIMITS, 'transaction_timeout = 0'] : NO_LIMITS

/** What the settings of a session depend on. */
interface ServerFacts {
  version: number
  encoding: string
}

/** For the whole session, by SET after connecting: poolers refuse them as startup parameters. */
export async function useOwnDefaults(client: pg.Client, {version, encoding}: ServerFacts): Promise<void> {
  const defaults = [
    SAFE_SEARCH_PATH,
    NO_JIT,
    ...limitsOf(version),
    ...TRANSACTIONS,
    ...encodingFor(encoding),
  ].map((setting) => `set ${setting}`)
  const detection = [CLIENT_CHECK, ...DEAD_NETWORK_DETECTION].map((setting) => `set ${setting}`)
  try {
    await client.query([...defaults, ...detection].join('; '))
  } catch (error) {
    if (isFatal(error)) throw error
    await client.query(defaults.join('; '))
    for (const setting of detection) {
      await client.query(setting).catch((unsupported) => {
        if (isFatal(unsupported)) throw unsupported
      })
    }
  }
}

/** SQL: commits wait for no standby from now on, for the rest of the session or of the transaction. */
export const commitLocally = (scope: 'session' | 'transaction'): string =>
  `select pg_catalog.set_config('synchronous_commit', 'local', ${scope === 'transaction'})
    where pg_catalog.current_setting('synchronous_commit') not in ('off', 'local')`

/**
 * The same for one transaction, which it begins: behind a pooler, the next one may be on another server connection, and
 * what is set for a session stays behind for whoever gets that one next. Tries it once.
 */
export async function findOwnBeginning(client: pg.Client, {version, encoding}: ServerFacts): Promise<string> {
  // A client that is stopped while it holds a lock would hold it for ever, and nobody could tell whose it is.
  const settings = [
    SAFE_SEARCH_PATH,
    NO_JIT,
    ...limitsOf(version),
    ...encodingFor(encoding),
    "idle_in_transaction_session_timeout = '60s'",
  ]
  const begin = (locals: readonly string[]) =>
    ['begin isolation level read committed', ...locals.map((setting) => `set local ${setting}`)].join('; ')
  let beginning = begin([...settings, CLIENT_CHECK])
  try {
    await client.query(beginning)
  } catch (error) {
    if (isFatal(error)) throw error
    beginning = begin(settings)
  }
  await client.query('rollback')
  return beginning
}
