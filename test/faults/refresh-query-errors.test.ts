import {beforeAll, describe, expect, test} from 'vitest'
import {type AybResult, ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createRefreshDatabase,
  createRefresher,
  errorOf,
  register,
  registrationOf,
  runsOf,
} from '../support/refresh.ts'

let db: TestDatabase

/** A view that can be refreshed in both modes, and whose query fails as the table `failure` says. */
beforeAll(async () => {
  db = await createRefreshDatabase()
  await db.query('create table failure (state text)')
  await db.query(
    `create function fail_on_demand() returns int language plpgsql as $$
     declare wanted text;
     begin
       select state into wanted from public.failure;
       if found then
         raise exception 'raised inside' using errcode = wanted, detail = 'by the query', hint = 'ask the author';
       end if;
       return 1;
     end $$`,
  )
  await db.query('create materialized view fragile as select 1 as id, fail_on_demand() as n')
  await db.query('create unique index on fragile (id)')
  await register(db, 'fragile')
})

const refresh = (view: string, ...args: string[]): Promise<AybResult> =>
  ayb(['matviews', 'refresh', view, '--json', ...args], {url: db.url})

interface Failure {
  sqlstate: string
  words: string
  detail?: string | null
}

/** Expects Postgres's own words in the error and in the records. */
async function expectFailed(result: AybResult, view: string, {sqlstate, words, detail}: Failure) {
  expect(result.code).toBe(1)
  const error = errorOf(result)
  expect(error).toMatchObject({code: 'REFRESH_FAILED', status: 500, details: {sqlstate}})
  expect(error.message).toContain(`the refresh of public.${view} failed: ${words}`)
  expect(error.message).toContain(`(SQLSTATE ${sqlstate})`)
  if (detail !== undefined) expect(error.details?.detail).toBe(detail)
  if (detail) expect(error.message).toContain(detail)
  expect((await runsOf(db, view))[0]).toMatchObject({status: 'error', error: error.message})
  expect(await registrationOf(db, view)).toMatchObject({
    last_refresh_status: 'error',
    last_refresh_error: error.message,
  })
  return error
}

describe('an error that the query raises', () => {
  test.each([
    ['55000', 'concurrent'],
    ['08001', 'standard'],
    ['42P01', 'standard'],
    ['3F000', 'standard'],
    ['42809', 'standard'],
    ['0A000', 'concurrent'],
    ['42501', 'concurrent'],
    ['57014', 'standard'],
    ['55P03', 'standard'],
    ['22012', 'concurrent'],
    ['25006', 'standard'],
    ['P0001', 'standard'],
  ])('with SQLSTATE %s (%s) is a failure in the words of the query', async (sqlstate, mode) => {
    await db.query('truncate failure')
    await db.query('insert into failure values ($1)', [sqlstate])
    const timeouts = ['--timeout', '20s', '--lock-timeout', '20s']
    const result = await refresh('fragile', '--mode', mode, ...timeouts)
    const error = await expectFailed(result, 'fragile', {
      sqlstate,
      words: 'raised inside',
      detail: 'by the query',
    })
    expect(error.hint).toBe('ask the author')
  })

  test('is on stderr without --json', async () => {
    await db.query('truncate failure')
    await db.query(`insert into failure values ('55000')`)
    const result = await ayb(['matviews', 'refresh', 'fragile'], {url: db.url})
    expect(result).toMatchObject({
      code: 1,
      stdout: '',
      stderr:
        'Error: the refresh of public.fragile failed: raised inside (by the query) (SQLSTATE 55000)\n' +
        'Hint: ask the author\n',
    })
  })
})

describe('an error of Postgres in the query', () => {
  test('of arithmetic keeps its words', async () => {
    await db.query('create table divisors as select 1 as n')
    await db.query('create materialized view ratio as select 1 / n as r from divisors')
    await register(db, 'ratio')
    await db.query('update divisors set n = 0')
    await expectFailed(await refresh('ratio'), 'ratio', {
      sqlstate: '22012',
      words: 'division by zero',
      detail: null,
    })
  })

  test('of a lock that it would not wait for keeps its words', async () => {
    await db.query('create table contended as select 1 as n')
    await db.query(
      `create function try_lock() returns int language plpgsql as
       $$ begin perform from public.contended for update nowait; return 1; end $$`,
    )
    await db.query('create materialized view impatient as select try_lock() as n')
    await register(db, 'impatient')
    const holder = await db.connect()
    await holder.query('begin; select * from contended for update')
    const result = await refresh('impatient', '--lock-timeout', '20s')
    await holder.query('rollback')
    await expectFailed(result, 'impatient', {sqlstate: '55P03', words: 'could not obtain lock on row'})
  })

  test('of a table that only a function reads keeps its words: no GRANT is known to help', async () => {
    const owner = await createRefresher(db, 'owner')
    await db.query('create table ledger as select 1 as n')
    await db.query(
      `create function read_ledger() returns int language plpgsql as
       $$ begin return (select n from public.ledger); end $$`,
    )
    await db.query('create materialized view balance as select read_ledger() as n')
    await db.query(`alter materialized view balance owner to ${owner.name}`)
    await register(db, 'balance')
    await expectFailed(await refresh('balance'), 'balance', {
      sqlstate: '42501',
      words: 'permission denied for table ledger',
    })
  })

  test('of a table that was renamed under a function names that table', async () => {
    await db.query('create table source as select 1 as n')
    await db.query(
      `create function read_source() returns int language plpgsql as
       $$ begin return (select n from public.source); end $$`,
    )
    await db.query('create materialized view copied as select read_source() as n')
    await register(db, 'copied')
    await db.query('alter table source rename to origin')
    await expectFailed(await refresh('copied'), 'copied', {
      sqlstate: '42P01',
      words: 'relation "public.source" does not exist',
    })
  })
})

describe('rows that the unique index does not take', () => {
  beforeAll(async () => {
    await db.query('create table numbers as select 1 as n')
    await db.query('create materialized view distinct_numbers as select n from numbers')
    await db.query('create unique index on distinct_numbers (n)')
    await register(db, 'distinct_numbers')
    await db.query('insert into numbers values (1)')
  })

  test('are 21000 in concurrent mode, with the row', async () => {
    const result = await refresh('distinct_numbers', '--mode', 'concurrent')
    const error = await expectFailed(result, 'distinct_numbers', {
      sqlstate: '21000',
      words: 'new data for materialized view "distinct_numbers" contains duplicate rows',
    })
    expect(error.details?.detail).toMatch(/\(1\)/)
  })

  test('are 23505 in standard mode, with the key', async () => {
    await expectFailed(await refresh('distinct_numbers'), 'distinct_numbers', {
      sqlstate: '23505',
      words: 'could not create unique index "distinct_numbers_n_idx"',
      detail: 'Key (n)=(1) is duplicated.',
    })
    expect(await db.query('select n from distinct_numbers')).toEqual([{n: 1}])
  })
})
