import pg from 'pg'
import {refresh} from '../../src/core/refresh/by-hand.ts'
import {wantedSettings} from '../../src/core/refresh/request.ts'
import {register} from '../../src/core/registrations.ts'
import {type Database, Server} from '../../src/db/database.ts'
import type {RefreshMode} from '../../src/lib/records/values.ts'
import {ayb} from './ayb.ts'
import {createTestDatabase, type TestDatabase} from './database.ts'
import {documentOf} from './documents.ts'
import {register as registerByCommand, serverVersion} from './refresh.ts'

/** A database whose views are refreshed only if something has changed, on a session that is kept. */
export interface Changes {
  db: Database
  /** Runs statements on a session of their own, whose counters everybody sees when it is gone. */
  run(...statements: string[]): Promise<void>
  /**
   * Looks at a view once, and refreshes the view unless nothing has changed. Answers `unchanged`, `refreshed`
   * or why the view is always refreshed.
   */
  check(viewName: string, mode?: RefreshMode): Promise<string>
  /** A new registered view that has been refreshed by ayb; `before` makes what the query reads. */
  settled(query: string, ...before: string[]): Promise<string>
  close(): Promise<void>
}

let views = 0

export async function watchChanges(url: string): Promise<Changes> {
  const db = await new Server({databaseUrl: url, env: {}, applicationName: 'test'}).open()
  await db.prepareTables()
  const changes: Changes = {
    db,
    run: (...statements) => runAt(url, statements),
    async check(viewName, mode = 'standard') {
      const {status, reason} = await refresh(
        db,
        {schemaName: 'public', viewName},
        {settings: wantedSettings(), signal: new AbortController().signal, ifChanged: true, mode},
      )
      return status === 'unchanged' ? status : (reason ?? 'refreshed')
    },
    async settled(query, ...before) {
      const view = `v${++views}`
      await changes.run(...before, `create materialized view ${view} as ${query}`)
      await register(db, {schemaName: 'public', viewName: view}, {mode: 'standard'})
      await changes.check(view)
      return view
    },
    close: () => db.close(),
  }
  return changes
}

async function runAt(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({connectionString: url})
  await client.connect()
  try {
    for (const sql of statements) await client.query(sql)
  } finally {
    await client.end()
  }
}

/** Whether the server tells for certain what has changed. */
export const tellsChanges = async (db: TestDatabase): Promise<boolean> => (await serverVersion(db)) >= 150_000

/** Runs a statement, whose changes everybody sees at once. */
export const write = async (db: TestDatabase, sql: string) =>
  db.query((await tellsChanges(db)) ? `${sql}; select pg_stat_force_next_flush()` : sql)

/** Registered: sales reads a table, days reads sales, weeks reads days. */
export async function createChain(): Promise<TestDatabase> {
  const db = await createTestDatabase({template: false})
  for (const sql of [
    'create table orders (id int primary key, amount int)',
    'insert into orders values (1, 10), (2, 20)',
    'create materialized view sales as select id, amount from orders',
    'create unique index on sales (id)',
    'create materialized view days as select id % 7 as day, sum(amount) as amount from sales group by 1',
    'create materialized view weeks as select sum(amount) as amount from days',
    'create materialized view clocks as select id from orders where now() is not null',
  ])
    await write(db, sql)
  await ayb(['migrate'], {url: db.url})
  for (const view of ['sales', 'days', 'weeks', 'clocks']) await registerByCommand(db, view)
  return db
}

/** Registers the chain for skips; sales is refreshed concurrently. */
export async function skipChain(db: TestDatabase): Promise<void> {
  const update = (...args: string[]) => documentOf(['matviews', 'update', ...args], db)
  for (const view of ['sales', 'days', 'weeks']) await update(view, '--skip-unchanged')
  await update('sales', '--mode', 'auto')
}

/**
 * Runs a statement on a session that then does nothing. The session has told of its changes right before, so
 * that it tells of the next ones ten seconds later.
 */
export async function unseen(db: TestDatabase, sql: string): Promise<() => Promise<void>> {
  const writer = await db.connect()
  await writer.query('create table if not exists scratch (n int)')
  return async () => {
    await writer.query('insert into scratch values (1); select pg_stat_force_next_flush()')
    await writer.query(sql)
  }
}
