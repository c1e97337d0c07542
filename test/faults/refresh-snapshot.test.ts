import {beforeAll, describe, expect, test} from 'vitest'
import {startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {insertJob, jobOf} from '../support/jobs.ts'
import {createRefreshDatabase, errorOf, register, runsOf, untilBlocked} from '../support/refresh.ts'

let db: TestDatabase

/** Each loader replaces what a view reads, as a nightly load does; the view then has 20 rows. */
const LOADS = [
  {
    what: 'a table',
    tables: 'create table loaded (id int); insert into loaded select generate_series(1, 20)',
    query: 'select id from loaded',
    load: 'truncate loaded; insert into loaded select generate_series(1, 20)',
    locked: 'loaded',
  },
  {
    what: 'a table under two plain views',
    tables: `create table deep (id int); insert into deep select generate_series(1, 20);
      create view deep_inner as select id from deep; create view deep_outer as select id from deep_inner`,
    query: 'select id from deep_outer',
    load: 'truncate deep; insert into deep select generate_series(1, 20)',
    locked: 'deep',
  },
  {
    what: 'a partition',
    tables: `create table parted (id int) partition by range (id);
      create table parted_1 partition of parted for values from (0) to (100);
      insert into parted select generate_series(1, 20)`,
    query: 'select id from parted',
    load: 'truncate parted_1; insert into parted select generate_series(1, 20)',
    locked: 'parted_1',
  },
  {
    what: 'one partition by another',
    tables: `create table swapped (id int) partition by range (id);
      create table swapped_old partition of swapped for values from (0) to (100);
      insert into swapped select generate_series(1, 20)`,
    query: 'select id from swapped',
    load: `create table swapped_new (id int); insert into swapped_new select generate_series(1, 20);
      alter table swapped detach partition swapped_old;
      alter table swapped attach partition swapped_new for values from (0) to (100)`,
    locked: 'swapped',
  },
  {
    what: 'a child table',
    tables: `create table parent (id int); create table child () inherits (parent);
      insert into child select generate_series(1, 20)`,
    query: 'select id from parent',
    load: 'truncate child; insert into child select generate_series(1, 20)',
    locked: 'child',
  },
  {
    what: 'a table that an SQL function reads',
    tables: `create table called (id int); insert into called select generate_series(1, 20);
      create function called_ids() returns setof int stable language sql begin atomic select id from called; end`,
    query: 'select id from called_ids() as id',
    load: 'truncate called; insert into called select generate_series(1, 20)',
    locked: 'called',
  },
]

const FIRST = LOADS[0] as (typeof LOADS)[0]
const viewOf = (locked: string) => `of_${locked}`

beforeAll(async () => {
  db = await createRefreshDatabase()
  for (const {tables, query, locked} of LOADS) {
    await db.query(`${tables}; create materialized view ${viewOf(locked)} as ${query}`)
    await register(db, viewOf(locked))
  }
  await db.query(
    `create materialized view concurrent_view as ${FIRST.query}; create unique index on concurrent_view (id)`,
  )
  await register(db, 'concurrent_view', 'concurrent')
})

/** Starts a refresh while a load is half done, and commits the load once the refresh waits. */
async function whileLoading<T>(load: string, locked: string, start: () => {done: Promise<T>}): Promise<T> {
  const loader = await db.connect()
  await loader.query('begin')
  await loader.query(load)
  const running = start()
  await untilBlocked(db, locked)
  await loader.query('commit')
  return running.done
}

const rowsOf = async (view: string) => (await db.query(`select count(*)::int as n from ${view}`))[0]?.n

describe('a refresh that waits for a load which replaces', () => {
  const fills = async (view: string, load: string, locked: string) => {
    const result = await whileLoading(load, locked, () =>
      startAyb(['matviews', 'refresh', view, '--json'], {url: db.url}),
    )
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(await rowsOf(view)).toBe(20)
    expect(await runsOf(db, view)).toMatchObject([{status: 'success'}])
  }

  test.each(LOADS)('$what fills the view with the new rows', ({load, locked}) =>
    fills(viewOf(locked), load, locked),
  )

  test('a table does so in concurrent mode', () => fills('concurrent_view', FIRST.load, FIRST.locked))

  // The new partition can be attached once.
  const repeatable = LOADS.filter(({locked}) => locked !== 'swapped')

  test.each(repeatable)('$what does so in a worker, as one attempt', async ({load, locked}) => {
    const view = viewOf(locked)
    const id = await insertJob(db, {view_name: view})
    const result = await whileLoading(load, locked, () => startAyb(['worker', '--once'], {url: db.url}))
    expect(result.code).toBe(0)
    expect(await rowsOf(view)).toBe(20)
    expect(await jobOf(db, id)).toMatchObject({state: 'completed', attempts: 1})
  })
})

test('a view whose own query replaces its table fails, and says why', async () => {
  await db.query(`create table restless (id int);
    create function replaced() returns setof int language plpgsql as
    $$ begin truncate public.restless; return query select 1; end $$;
    create materialized view restless_view as select id from replaced() as id where exists (select from restless) or true with no data`)
  await register(db, 'restless_view')
  const result = await startAyb(['matviews', 'refresh', 'restless_view', '--json'], {url: db.url}).done
  expect(result.code).toBe(1)
  const error = errorOf(result)
  expect(error.code).toBe('REFRESH_FAILED')
  expect(error.message).toContain('were replaced during each of')
  expect(await runsOf(db, 'restless_view')).toMatchObject([{status: 'error', error: error.message}])
})

test('a job of such a view fails the same, also where another job is due', async () => {
  await db.query('create materialized view waiting_view as select 1 as id')
  const restless = await insertJob(db, {view_name: 'restless_view'}, {max_attempts: 1})
  const other = await insertJob(db, {view_name: 'waiting_view'})
  const result = await startAyb(['worker', '--once', '--concurrency', '1'], {url: db.url}).done
  expect(result.stderr).not.toContain('connection')
  expect(await jobOf(db, restless)).toMatchObject({
    state: 'failed',
    attempts: 1,
    last_error: expect.stringContaining('were replaced during each of'),
  })
  expect(await jobOf(db, other)).toMatchObject({state: 'completed'})
})
