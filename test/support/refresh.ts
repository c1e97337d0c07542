import type pg from 'pg'
import type {AybResult} from './ayb.ts'
import {createTestDatabase, type TestDatabase} from './database.ts'
import {PATIENCE_MS, until} from './until.ts'

/** A row of the table of registrations, as far as a refresh changes it. */
interface RegistrationRow {
  id: string
  refresh_mode: string
  last_refresh_at: Date | null
  last_refresh_duration_ms: number | null
  last_refresh_status: string | null
  last_refresh_error: string | null
}

/** A row of the history. */
interface RunRow {
  id: string
  refresh_mode: string
  trigger: string
  job_id: string | null
  worker_id: string | null
  started_at: Date
  duration_ms: number
  status: string
  error: string | null
  size_bytes: string | null
  lock_wait_ms: number | null
}

/** The `error` of a failure with --json. */
export interface ErrorDocument {
  code: string
  message: string
  hint: string | null
  status: number
  details: {[key: string]: unknown} | null
}

/** A view whose refresh waits inside its query while the gate is closed. */
export interface Gate {
  close(): Promise<void>
  open(): Promise<void>
}

const GATES = 4711
let gates = 0

/** A copy of the example with ayb's tables, and with `leaderboard` registered. */
export async function createRefreshDatabase(): Promise<TestDatabase> {
  const db = await createTestDatabase({hasTables: true})
  await register(db, 'leaderboard')
  return db
}

/** Registers a view and returns the id. */
export async function register(
  db: TestDatabase,
  view: string,
  mode = 'standard',
  schema = 'public',
): Promise<string> {
  const [row] = await db.query<{id: string}>(
    'insert into _ayb_matview_refreshes (schema_name, view_name, refresh_mode) values ($1, $2, $3) returning id',
    [schema, view, mode],
  )
  return (row as {id: string}).id
}

export async function registrationOf(db: TestDatabase, view: string): Promise<RegistrationRow> {
  const [row] = await db.query<RegistrationRow>('select * from _ayb_matview_refreshes where view_name = $1', [
    view,
  ])
  return row as RegistrationRow
}

/** The history of a view, newest first. */
export const runsOf = (db: TestDatabase, view: string): Promise<RunRow[]> =>
  db.query<RunRow>(
    'select *, lock_wait_ms::int from _ayb_matview_refresh_runs where view_name = $1 order by started_at desc',
    [view],
  )

/**
 * Makes and registers a view of one row, with a unique index: its refresh waits for the gate, and its `stamp`
 * differs after each.
 */
export async function createGatedView(db: TestDatabase, view: string): Promise<Gate> {
  const gate = await createGate(db, view)
  await db.query(
    `create materialized view ${view} as
     select 1 as id, public.${view}_gate() as gate, clock_timestamp() as stamp`,
  )
  await db.query(`create unique index on ${view} (id)`)
  await register(db, view)
  return gate
}

/** Makes the function `<view>_gate()`, for the query of a view whose refresh is to wait. */
export async function createGate(db: TestDatabase, view: string): Promise<Gate> {
  const key = ++gates
  // However long the gate is closed, the view's query works: no lock timeout of a refresh ends it.
  await db.query(
    `create function ${view}_gate() returns text language sql set lock_timeout = 0
     as $$ select pg_advisory_xact_lock_shared(${GATES}, ${key})::text $$`,
  )
  const keeper = await db.connect()
  return {
    close: async () => {
      await keeper.query(`select pg_advisory_lock(${GATES}, ${key})`)
    },
    // Also after a test that failed before it opened the gate.
    open: async () => {
      await keeper.query('select pg_advisory_unlock_all()')
    },
  }
}

/**
 * The file that holds the view's rows, another one after each standard refresh: it can be read while one
 * runs.
 */
export const fileOf = (db: TestDatabase, view: string) =>
  db.query('select relfilenode from pg_class where oid = $1::regclass', [view])

/** Waits until a REFRESH of the view runs, for at least so long, and returns the pid of its backend. */
export async function untilRefreshing(db: TestDatabase, view: string, forMs = 0): Promise<number> {
  return until(
    async () => {
      const [row] = await db.query<{pid: number}>(
        `select pid from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid() and state = 'active'
            and query ~ ('refresh materialized view [^;]*"' || $1 || '"')
            and clock_timestamp() - query_start > $2 * interval '1 ms'`,
        [view, forMs],
      )
      return row?.pid
    },
    {what: `a refresh of ${view}`, timeoutMs: PATIENCE_MS},
  )
}

/** Waits until a session waits for a lock on the relation, for at least so long, and returns its pid. */
export async function untilBlocked(db: TestDatabase, relation: string, forMs = 0): Promise<number> {
  return until(
    async () => {
      const [row] = await db.query<{pid: number}>(
        `select pid from pg_locks
          where locktype = 'relation' and not granted and relation = $1::regclass
            and database = (select oid from pg_database where datname = current_database())
            and clock_timestamp() - waitstart > $2 * interval '1 ms'`,
        [relation, forMs],
      )
      return row?.pid
    },
    {what: `a session that waits for a lock on ${relation}`, timeoutMs: PATIENCE_MS},
  )
}

/** The instant by the server's clock, in milliseconds. */
export async function serverClockMs(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{ms: number}>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 as ms',
  )
  return (row as {ms: number}).ms
}

/**
 * Waits until a backend and all of its locks are gone, and returns when that was seen, as `serverClockMs`
 * tells it.
 */
export async function untilGone(db: TestDatabase, pid: number): Promise<number> {
  return until(
    async () => {
      const [row] = await db.query<{ms: number}>(
        `select extract(epoch from clock_timestamp())::float8 * 1000 as ms
          where not exists (select from pg_stat_activity where pid = $1)
            and not exists (select from pg_locks where pid = $1)`,
        [pid],
      )
      return row?.ms
    },
    {what: `backend ${pid} and its locks to be gone`, timeoutMs: PATIENCE_MS},
  )
}

/** Whether the backend holds the advisory lock of a view of schema `public`. */
export async function holdsViewLock(db: TestDatabase, pid: number, view: string): Promise<boolean> {
  const rows = await db.query(
    `select from pg_locks
      where pid = $1 and granted and locktype = 'advisory' and objsubid = 1
        and (classid::bigint << 32) | objid::bigint = hashtext('public.' || $2)::bigint`,
    [pid, view],
  )
  return rows.length > 0
}

/** What ayb has left on the server: its sessions, and the advisory locks of views. */
export async function leftBehind(db: TestDatabase): Promise<pg.QueryResultRow[]> {
  return db.query(
    `select a.application_name as what, a.state from pg_stat_activity a
      where a.datname = current_database() and a.application_name like 'ayb %'
     union all
     select 'lock', l.mode from pg_locks l
      where l.locktype = 'advisory' and l.objsubid = 1
        and l.database = (select oid from pg_database where datname = current_database())`,
  )
}

/** Waits until neither a session nor a lock of ayb is left. */
export async function untilNothingIsLeft(db: TestDatabase, timeoutMs: number): Promise<void> {
  let left: pg.QueryResultRow[] = []
  await until(
    async () => {
      left = await leftBehind(db)
      return left.length === 0
    },
    {what: 'the sessions and locks of ayb to go', timeoutMs},
  ).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(left)}`)
  })
}

/** The error of a command that was run with --json. */
export const errorOf = (result: AybResult): ErrorDocument => (result.json() as {error: ErrorDocument}).error

/** As server_version_num has it. */
export async function serverVersion(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{version: number}>(
    `select current_setting('server_version_num')::int as version`,
  )
  return (row as {version: number}).version
}

/** A role that may use ayb's tables, and own views over the example. */
export async function createRefresher(
  db: TestDatabase,
  suffix: string,
  settings: Record<string, string | string[]> = {},
): Promise<{name: string; url: string; password: string}> {
  const role = await db.createRole(suffix, {settings})
  await db.query(`grant select, insert, update, delete on all tables in schema public to ${role.name}`)
  return role
}

/** A session that holds a lock on a view by reading it in a transaction, until the transaction ends. */
export async function openReader(db: TestDatabase, view: string): Promise<{client: pg.Client; pid: number}> {
  const client = await db.connect()
  await client.query(`set application_name = 'nightly report'; begin`)
  await client.query(`select from ${view}`)
  const {rows} = await client.query<{pid: number}>('select pg_backend_pid() as pid')
  return {client, pid: (rows[0] as {pid: number}).pid}
}
