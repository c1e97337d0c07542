import {beforeAll, describe, expect, onTestFinished, test} from 'vitest'
import type {View} from '../../src/lib/records/views.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, keysOf, VIEW_KEYS} from '../support/documents.ts'
import {until} from '../support/until.ts'

const discover = (db: TestDatabase) => documentOf<View[]>(['matviews', 'discover'], db)

describe('ayb matviews discover', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
    await db.query(`create schema sales;
      create materialized view sales.empty as select id from users with no data;
      create materialized view ready as select id from users;
      create unique index on ready (id);
      create view plain as select 1;`)
  })

  test('shows every materialized view and what it lacks', async () => {
    const views = await discover(db)
    for (const view of views) expect(keysOf(view)).toEqual(VIEW_KEYS)
    const changes = {
      skippable: expect.any(Boolean),
      skipBlockers: expect.any(Array),
      parents: [],
      children: [],
    }
    const common = {owner: db.user, registered: false, ...changes}
    expect(views).toEqual([
      {
        ...common,
        schemaName: 'public',
        viewName: 'leaderboard',
        populated: true,
        sizeBytes: expect.any(Number),
        concurrentReady: false,
        concurrentBlockers: [
          {
            code: 'UNIQUE_INDEX_REQUIRED',
            message: 'public.leaderboard has no unique index that a concurrent refresh can use',
            hint: expect.stringMatching(/^CREATE UNIQUE INDEX ON public\.leaderboard \(id\);/),
          },
        ],
      },
      {
        ...common,
        schemaName: 'public',
        viewName: 'ready',
        populated: true,
        sizeBytes: expect.any(Number),
        concurrentReady: true,
        concurrentBlockers: [],
      },
      {
        ...common,
        schemaName: 'sales',
        viewName: 'empty',
        populated: false,
        sizeBytes: expect.any(Number),
        concurrentReady: false,
        concurrentBlockers: [
          {
            code: 'NOT_POPULATED',
            message: expect.stringContaining('sales.empty was never populated'),
            hint: 'ayb matviews refresh sales.empty --mode standard',
          },
          {
            code: 'UNIQUE_INDEX_REQUIRED',
            message: expect.stringContaining('sales.empty has no unique index'),
            hint: expect.stringMatching(/^CREATE UNIQUE INDEX ON sales\.empty \(id\);/),
          },
        ],
      },
    ])
    const [{size} = {size: null}] = await db.query<{size: string}>(
      `select pg_total_relation_size('leaderboard') as size`,
    )
    expect(views[0]?.sizeBytes).toBe(Number(size))
    expect(await db.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
  })

  test('is one view a line in a pipe', async () => {
    const [leaderboard] = await discover(db)
    const {code, stdout, stderr} = await ayb(['matviews', 'discover'], db)
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    const lines = stdout.split('\n').map((line) => line.split('\t'))
    expect(lines).toHaveLength(4)
    expect(lines[0]).toEqual([
      'public.leaderboard',
      db.user,
      'true',
      String(leaderboard?.sizeBytes),
      'false',
      'UNIQUE_INDEX_REQUIRED',
      leaderboard?.skipBlockers.map(({message}) => message).join('; '),
    ])
    expect(lines[2]?.[5]).toBe('NOT_POPULATED,UNIQUE_INDEX_REQUIRED')
  })

  test('knows which are registered', async () => {
    const other = await createTestDatabase()
    await other.query('create materialized view another as select 1 as one')
    await documentOf(['matviews', 'register', 'leaderboard'], other)
    expect((await discover(other)).map(({viewName, registered}) => [viewName, registered])).toEqual([
      ['another', false],
      ['leaderboard', true],
    ])
  })

  test('knows the size of a view whose twin in another database is locked', async () => {
    // Copies of one template: the same objects have the same ids.
    const [here, there] = [await createTestDatabase(), await createTestDatabase()]
    const oidOf = (one: TestDatabase) => one.query("select 'leaderboard'::regclass::oid as oid")
    expect(await oidOf(here)).toEqual(await oidOf(there))
    const other = await there.connect()
    await other.query('begin')
    await other.query('refresh materialized view leaderboard')
    const [view] = await discover(here)
    await other.query('rollback')
    expect(view).toMatchObject({viewName: 'leaderboard', sizeBytes: expect.any(Number)})
  })

  test('is empty where there are none', async () => {
    const empty = await createTestDatabase({template: false})
    expect(await discover(empty)).toEqual([])
    expect(await ayb(['matviews', 'discover'], empty)).toMatchObject({code: 0, stdout: '', stderr: ''})
  })
})

/** Each test ends while the lock is still held, so nothing waited for it. */
describe('a view that is locked', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
    await db.query(`create materialized view free as select 1 as one;
      create materialized view slow as select 1 as one from pg_sleep(30) with no data;`)
  })

  /** Leaves a transaction open, and with it the locks of its statement. */
  async function holdUntilTestEnds(statement: string): Promise<void> {
    const session = await db.connect()
    onTestFinished(async () => void (await session.query('rollback')))
    await session.query(`begin; ${statement}`)
  }

  const sizesOf = async () => {
    const views = await discover(db)
    return Object.fromEntries(views.map(({viewName, sizeBytes}) => [viewName, sizeBytes]))
  }

  test('is shown without its size, the others with theirs', async () => {
    await holdUntilTestEnds('refresh materialized view leaderboard')
    expect(await sizesOf()).toMatchObject({leaderboard: null, free: expect.any(Number)})
  })

  test('is shown without its size when somebody only waits for the lock', async () => {
    await holdUntilTestEnds('select from leaderboard')
    const writer = await db.connect()
    writer.query('refresh materialized view leaderboard').catch(() => {})
    await until(async () => (await db.query('select from pg_locks where not granted')).length > 0, {
      what: 'the refresh to wait for the reader',
    })
    expect(await sizesOf()).toMatchObject({leaderboard: null, free: expect.any(Number)})
  })

  test('is shown when only its index is locked', async () => {
    await db.query('create unique index by_id on leaderboard (id)')
    await holdUntilTestEnds('reindex index by_id')
    expect(await sizesOf()).toMatchObject({leaderboard: null})
  })

  test('is shown during a refresh by ayb', async () => {
    await documentOf(['matviews', 'register', 'slow'], db)
    const refresh = startAyb(['matviews', 'refresh', 'slow'], db)
    await until(
      () =>
        db
          .query(`select from pg_locks where mode = 'AccessExclusiveLock' and relation = 'slow'::regclass`)
          .then((rows) => rows.length > 0),
      {what: 'the refresh to hold its view'},
    )
    expect(await sizesOf()).toMatchObject({slow: null, free: expect.any(Number)})
    refresh.kill('SIGINT')
    expect((await refresh.done).code).toBe(130)
  })
})
