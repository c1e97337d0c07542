import type pg from 'pg'
import {isFatal} from '../sqlstate.ts'

/**
 * A search_path that finds only names of Postgres itself, so that no function or operator in `public` can
 * replace one that ayb calls.
 */
export const SAFE_SCHEMAS = 'pg_catalog, pg_temp'
const SAFE_SEARCH_PATH = `search_path = ${SAFE_SCHEMAS}`

/**
 * Settings that a role or database may have and that must not affect our statements: a refresh has no time
 * limit unless the user sets one.
 */
const NO_LIMITS = ['statement_timeout = 0', 'lock_timeout = 0', 'idle_in_transaction_session_timeout = 0']

/**
 * JIT-compiling our statements takes longer than running them. REFRESH and reads of views keep the setting of
 * the role.
 */
const NO_JIT = 'jit = off'

/** Bookkeeping is READ COMMITTED. */
const TRANSACTIONS = [
  'idle_session_timeout = 0',
  "default_transaction_isolation = 'read committed'",
  'default_transaction_deferrable = off',
]

/**
 * Lets the server notice soon that this process is gone, also during a statement: otherwise the server would
 * run the statement to its end and commit. Some platforms lack some of these settings.
 */
const CLIENT_CHECK = "client_connection_check_interval = '1s'"
const DEAD_NETWORK_DETECTION = [
  "tcp_keepalives_idle = '10s'",
  "tcp_keepalives_interval = '5s'",
  'tcp_keepalives_count = 3',
  "tcp_user_timeout = '30s'",
]

/**
 * A SQL_ASCII database stores any bytes, and Postgres refuses to send bytes that are not UTF-8 to a UTF8
 * client, so one name would fail a whole list. Without the check, ayb reads such a byte as U+FFFD. Text that
 * ayb sends stays UTF-8.
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

/** SET after connecting, for the whole session: poolers refuse these as startup parameters. */
export async function useOwnDefaults(client: pg.Client, {version, encoding}: ServerFacts): Promise<void> {
  const defaults = [
    SAFE_SEARCH_PATH,
    NO_JIT,
    ...limitsOf(version),
    ...TRANSACTIONS,
    ...encodingFor(encoding),
  ].map((setting) => `set ${setting}`)
  const detection = [CLIENT_CHECK, ...DEAD_NETWORK_DETECTION].map((setting) => `set ${setting}`)
  // Two messages: a server that lacks a setting of the second one refuses all of that message, and other
  // statements may already be on their way behind both.
  await Promise.all([
    client.query(defaults.join('; ')),
    client.query(detection.join('; ')).catch((error) => useEachSupported(client, detection, error)),
  ])
}

/** Runs each of these statements alone, after the server has refused all of them together. */
async function useEachSupported(
  client: pg.Client,
  statements: readonly string[],
  error: unknown,
): Promise<void> {
  if (isFatal(error)) throw error
  for (const statement of statements) {
    await client.query(statement).catch((unsupported) => {
      if (isFatal(unsupported)) throw unsupported
    })
  }
}

/** SQL: commits wait for no standby from now on, for the rest of the session or of the transaction. */
export const commitLocally = (scope: 'session' | 'transaction'): string => `select ${commitsLocally(scope)}`

/** SQL: the same as an expression. */
export const commitsLocally = (scope: 'session' | 'transaction'): string =>
  `case when pg_catalog.current_setting('synchronous_commit') not in ('off', 'local')
            then pg_catalog.set_config('synchronous_commit', 'local', ${scope === 'transaction'}) end`

/**
 * SQL: an expression that makes a setting until the transaction ends. `name` and `value` are expressions; a
 * null restores what the role and the database have set.
 */
export const settingTo = (name: string, value: string | null): string =>
  `pg_catalog.set_config(${name}, ${value}, true)`

/**
 * SQL: one statement that makes several settings, each an expression of `settingTo`. The driver reads one
 * answer, not one for each SET. `concat` calls each function in turn and is never null, so the statement
 * returns no row.
 */
export const makeSettings = (settings: readonly string[]): string =>
  `select where pg_catalog.concat(${settings.join(', ')}) is null`

/** SQL: an expression that has the commit of its transaction wait for nothing, not even for the disk. */
export const COMMIT_AT_ONCE = settingTo("'synchronous_commit'", "'off'")

/**
 * Begins a transaction with the same settings. Behind a pooler, the next transaction may use another server
 * connection, and settings of a session would stay for its next client. Tries only once.
 */
export async function findOwnBeginning(client: pg.Client, {version, encoding}: ServerFacts): Promise<string> {
  // A client that is stopped would hold its locks for ever, and nobody could tell which client it is.
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
