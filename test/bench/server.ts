import {setTimeout as sleep} from 'node:timers/promises'
import pg from 'pg'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {aybProgram, type RunningProgram, runProgram, startProgram} from './programs.ts'

/** As a registration has it. */
export type Mode = 'standard' | 'concurrent'

/** A database of its own for one measurement: `views` near-empty materialized views, `v0` and so on. */
export interface BenchDatabase {
  name: string
  /** As superuser, over TCP. */
  url: string
  views: number
  /** Runs statements as superuser, one or, without parameters, several; each may get another session. */
  query<Row extends pg.QueryResultRow>(sql: string, params?: unknown[]): Promise<Row[]>
  /** Ends all sessions and drops the database. */
  drop(): Promise<void>
}

/** A worker of ayb that is up. */
export interface BenchWorker extends RunningProgram {
  /**
   * Ends it in good order.
   * @throws Error where it does not exit with 0
   */
  stop(): Promise<void>
}

let created = 0

/** Starts a server whose writes reach the disk, with the same settings for all that is measured on it. */
export const startBenchServer = (
  options: {binDir?: string; settings?: Record<string, string>} = {},
): Promise<PostgresServer> =>
  startPostgres({...options, durable: true, settings: {max_connections: '200', ...options.settings}})

/**
 * Creates a database with views of one row, each with a unique index, so that both modes can refresh them,
 * and with ayb's tables, where each view is registered in that mode; `views` is 200 without it, `mode`
 * standard. With `hasAyb: false` it has the views alone.
 */
export async function createBenchDatabase(
  server: PostgresServer,
  options: {views?: number; mode?: Mode; hasAyb?: boolean} = {},
): Promise<BenchDatabase> {
  const {views = 200, mode = 'standard', hasAyb = true} = options
  const name = `bench_${++created}`
  await administer(server, `create database ${name} template template0`)
  const url = server.url(name)
  const pool = new pg.Pool({connectionString: url, max: 4})
  // Dropping the database ends the sessions, which each of them reports.
  pool.on('error', () => {})
  const db: BenchDatabase = {
    name,
    url,
    views,
    query: async <Row extends pg.QueryResultRow>(sql: string, params?: unknown[]) =>
      (await pool.query<Row>(sql, params)).rows,
    async drop() {
      await pool.end()
      await administer(server, `drop database if exists ${name} with (force)`)
    },
  }
  await createViews(db)
  if (hasAyb) {
    await runProgram(process.execPath, [aybProgram, 'migrate'], {url})
    await db.query(
      `insert into _ayb_matview_refreshes (view_name, refresh_mode)
       select 'v' || n, $2 from generate_series(0, $1::int - 1) n`,
      [views, mode],
    )
  }
  await settle(db)
  return db
}

async function createViews(db: BenchDatabase): Promise<void> {
  await db.query(`
    create table items (id int primary key, amount int not null);
    insert into items select n, n * 7 from generate_series(1, 5) n;
  `)
  // In portions: all in one transaction would take more locks than the server has room for.
  for (let first = 0; first < db.views; first += 500) {
    const last = Math.min(first + 500, db.views) - 1
    await db.query(`
      do $$ begin
        for n in ${first}..${last} loop
          execute format('create materialized view %I as select 1 as id, count(*) as items, sum(amount) as amount from items', 'v' || n);
          execute format('create unique index on %I (id)', 'v' || n);
        end loop;
      end $$
    `)
  }
}

/**
 * What was just written is not to be flushed, nor looked at by autovacuum for the first time, while something
 * is measured.
 */
async function settle(db: BenchDatabase): Promise<void> {
  await db.query('vacuum analyze')
  await db.query('checkpoint')
}

async function administer(server: PostgresServer, statement: string): Promise<void> {
  const admin = new pg.Client({connectionString: server.url()})
  await admin.connect()
  try {
    await admin.query(statement)
  } finally {
    await admin.end()
  }
}

/**
 * Starts `ayb worker` and waits until it says so. Without `slots` it has 4, without `node` it runs on this
 * Node.js; `args` come behind the others.
 */
export async function startBenchWorker(
  db: {url: string},
  options: {slots?: number; node?: string; env?: Record<string, string>; args?: readonly string[]} = {},
): Promise<BenchWorker> {
  const {slots = 4, node = process.execPath, env = {}, args = []} = options
  const program = startProgram(
    node,
    [aybProgram, 'worker', '--log-format', 'json', '--concurrency', String(slots), ...args],
    {url: db.url, env},
  )
  await program.waitFor(/worker started/)
  return {
    ...program,
    async stop() {
      program.kill()
      const code = await program.ended
      if (code !== 0) throw new Error(`ayb worker ended with ${code}:\n${program.output().slice(-2000)}`)
    },
  }
}

/** Time enough to read what the processors did. */
const BEFORE_DUE_MS = 100

/**
 * Waits until just before an instant by the database's clock, in milliseconds since 1970.
 * @throws Error where that is over
 */
export async function untilAlmost(db: BenchDatabase, dueAt: number): Promise<void> {
  const leftMs = dueAt - BEFORE_DUE_MS - (await databaseNow(db))
  if (leftMs < 0) throw new Error(`all was set up ${-leftMs} ms too late for what is due`)
  await sleep(leftMs)
}

/** The database's clock, in milliseconds since 1970. */
export async function databaseNow(db: BenchDatabase): Promise<number> {
  const [row] = await db.query<{now: number}>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 as now',
  )
  return row?.now ?? Number.NaN
}
