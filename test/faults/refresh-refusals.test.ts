import {beforeAll, describe, expect, test} from 'vitest'
import {type AybResult, ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createRefreshDatabase,
  createRefresher,
  type ErrorDocument,
  errorOf,
  register,
  registrationOf,
  runsOf,
  serverVersion,
} from '../support/refresh.ts'

let db: TestDatabase
let version: number

beforeAll(async () => {
  db = await createRefreshDatabase()
  version = await serverVersion(db)
})

const refresh = (view: string, {url = db.url, mode = 'standard'} = {}): Promise<AybResult> =>
  ayb(['matviews', 'refresh', view, '--mode', mode, '--json'], {url})

/** A registered view with a column `id`, as the superuser's. */
async function createView(name: string, definition = 'select id, name from users'): Promise<void> {
  await db.query(`create materialized view ${name} as ${definition}`)
  await register(db, name)
}

/** Refreshes, expects that code, and that the attempt was recorded with the very message. */
async function expectRefused(
  view: string,
  code: string,
  exitCode: number,
  options: {url?: string; mode?: string} = {},
): Promise<ErrorDocument> {
  const before = await runsOf(db, view)
  const result = await refresh(view, options)
  const error = errorOf(result)
  expect({...error, exitCode: result.code}).toMatchObject({code, exitCode})
  const [run, ...rest] = await runsOf(db, view)
  expect(run).toMatchObject({status: 'error', error: error.message, trigger: 'manual', size_bytes: null})
  expect(rest).toEqual(before)
  expect(await registrationOf(db, view)).toMatchObject({
    last_refresh_status: 'error',
    last_refresh_error: error.message,
  })
  return error
}

describe('a view that is not there', () => {
  test('because it was dropped is not found, and the nearest one is named', async () => {
    await createView('sales')
    await db.query('drop materialized view sales; create materialized view sale as select 1 as id')
    const error = await expectRefused('sales', 'VIEW_NOT_FOUND', 3)
    expect(error).toMatchObject({
      status: 404,
      message: 'there is no materialized view public.sales',
      hint: 'did you mean public.sale?',
    })
  })

  test('because it moved to another schema is not found, and that one is named', async () => {
    await createView('moved')
    await db.query('create schema archive; alter materialized view moved set schema archive')
    const error = await expectRefused('moved', 'VIEW_NOT_FOUND', 3)
    expect(error.hint).toBe('did you mean archive.moved?')
  })

  test.each([
    ['a table', 'create table replaced (id int)', 'drop table replaced'],
    ['a view', 'create view replaced as select 1 as id', 'drop view replaced'],
    ['an index', 'create index replaced on users (name)', 'drop index replaced'],
  ])('because the name is now that of %s says so', async (what, create, drop) => {
    if ((await registrationOf(db, 'replaced')) === undefined) await register(db, 'replaced')
    await db.query(create)
    const error = await expectRefused('replaced', 'VIEW_NOT_FOUND', 3)
    await db.query(drop)
    expect(error.message).toBe(`public.replaced is ${what}, not a materialized view`)
  })

  test('because its schema was dropped is not found', async () => {
    await register(db, 'orphan', 'standard', 'nowhere')
    const result = await refresh('nowhere.orphan')
    expect(result.code).toBe(3)
    expect(errorOf(result).message).toBe('there is no materialized view nowhere.orphan')
    expect(await runsOf(db, 'orphan')).toMatchObject([{status: 'error'}])
  })
})

describe('concurrent mode', () => {
  test('on a view that was never populated is refused, and the hint populates it', async () => {
    await createView('empty', 'select id from users with no data')
    await db.query('create unique index on empty (id)')
    const error = await expectRefused('empty', 'NOT_POPULATED', 4, {mode: 'concurrent'})
    expect(error.hint).toBe('ayb matviews refresh public.empty --mode standard')
    const [program, ...args] = (error.hint ?? '').split(' ')
    expect(program).toBe('ayb')
    expect((await ayb(args, {url: db.url})).code).toBe(0)
    expect((await refresh('empty', {mode: 'concurrent'})).code).toBe(0)
  })

  test.each([
    ['no index at all', 'select', ''],
    ['an index that is not unique', 'create index on unfit (id)', ''],
    [
      'a partial index',
      'create unique index unfit_index on unfit (id) where id > 0',
      'unfit_index is partial',
    ],
    [
      'an index on an expression',
      'create unique index unfit_index on unfit (abs(id))',
      'is on an expression',
    ],
    [
      'an index with a column and an expression',
      'create unique index on unfit (id, lower(name))',
      'is on an expression',
    ],
    [
      'an index that is not valid, as a failed CREATE INDEX CONCURRENTLY leaves it',
      `create unique index unfit_index on unfit (id);
       update pg_index set indisvalid = false where indexrelid = 'unfit_index'::regclass`,
      'unfit_index is not valid',
    ],
  ])('with %s is refused, and the hint is the index that it takes', async (_, sql, reason) => {
    if ((await registrationOf(db, 'unfit')) === undefined) await register(db, 'unfit')
    await db.query('create materialized view unfit as select id, name from users')
    await db.query(sql)
    const error = await expectRefused('unfit', 'UNIQUE_INDEX_REQUIRED', 4, {mode: 'concurrent'})
    expect(error).toMatchObject({
      status: 409,
      message: expect.stringContaining('public.unfit has no unique index that a concurrent refresh can use'),
      hint: expect.stringMatching(/^CREATE UNIQUE INDEX ON public\.unfit \(id\);/),
    })
    expect(error.message).toContain(reason)
    await db.query(error.hint ?? '')
    expect((await refresh('unfit', {mode: 'concurrent'})).code).toBe(0)
    await db.query('drop materialized view unfit')
  })

  test('takes an index with INCLUDE, and from 15 on one with NULLS NOT DISTINCT', async () => {
    await createView('fit')
    await db.query('create unique index fit_index on fit (id) include (name)')
    expect((await refresh('fit', {mode: 'concurrent'})).code).toBe(0)
    if (version < 150_000) return
    await db.query('drop index fit_index; create unique index on fit (id) nulls not distinct')
    expect((await refresh('fit', {mode: 'concurrent'})).code).toBe(0)
  })
})

describe('a role', () => {
  test('that may not refresh the view is told the owner and the GRANT, which is enough', async () => {
    const owner = await createRefresher(db, 'owner')
    const clerk = await createRefresher(db, 'clerk')
    await createView('private_view')
    await db.query(`alter materialized view private_view owner to ${owner.name}`)
    const error = await expectRefused('private_view', 'PERMISSION_DENIED', 7, {url: clerk.url})
    expect(error).toMatchObject({
      status: 403,
      message: `this role may not refresh public.private_view, which belongs to ${owner.name}`,
      details: {owner: owner.name},
    })
    const grant =
      version >= 170_000
        ? `GRANT MAINTAIN ON public.private_view TO ${clerk.name};`
        : `GRANT ${owner.name} TO ${clerk.name};`
    expect(error.hint).toBe(`${grant} -- or connect as ${owner.name}`)
    await db.query(error.hint ?? '')
    expect((await refresh('private_view', {url: clerk.url})).code).toBe(0)
  })

  test('that may not use the schema is told the GRANT, which is enough', async () => {
    const clerk = await createRefresher(db, 'clerk')
    await db.query('create schema closed; create materialized view closed.inner_view as select id from users')
    await db.query(`alter materialized view closed.inner_view owner to ${clerk.name}`)
    await register(db, 'inner_view', 'standard', 'closed')
    const result = await refresh('closed.inner_view', {url: clerk.url})
    expect(result.code).toBe(7)
    const error = errorOf(result)
    expect(error).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: `this role may not use schema closed, which holds closed.inner_view and belongs to ${db.user}`,
      hint: `GRANT USAGE ON SCHEMA closed TO ${clerk.name};`,
    })
    expect(await runsOf(db, 'inner_view')).toMatchObject([{status: 'error', error: error.message}])
    await db.query(error.hint ?? '')
    expect((await refresh('closed.inner_view', {url: clerk.url})).code).toBe(0)
  })

  test('that may not write ayb’s tables changes nothing, and hears what it lacks', async () => {
    const clerk = await db.createRole('clerk')
    await createView('unwritten', 'select clock_timestamp() as stamp')
    await db.query(`alter materialized view unwritten owner to ${clerk.name}`)
    await db.query(
      `grant select on _ayb_matview_refreshes, _ayb_matview_refresh_runs, _ayb_cli_migrations to ${clerk.name}`,
    )
    const before = await db.query('select stamp from unwritten')
    const result = await ayb(['matviews', 'refresh', 'unwritten'], {url: clerk.url})
    expect(result).toMatchObject({code: 7, stdout: ''})
    expect(result.stderr).toMatch(/^Warning: .*public\.unwritten .*could not be recorded: permission denied/)
    expect(result.stderr).toContain(
      "Error: this role may refresh public.unwritten, but may not record the refresh in ayb's tables",
    )
    expect(await db.query('select stamp from unwritten')).toEqual(before)
    expect(await runsOf(db, 'unwritten')).toEqual([])

    const {hint} = errorOf(await refresh('unwritten', {url: clerk.url}))
    expect(hint).toMatch(/^GRANT .* TO /)
    await db.query(hint ?? '')
    expect((await refresh('unwritten', {url: clerk.url})).code).toBe(0)
    expect(await db.query('select stamp from unwritten')).not.toEqual(before)
  })

  test('that may not even read ayb’s tables is told the GRANT', async () => {
    const stranger = await db.createRole('stranger')
    const result = await refresh('leaderboard', {url: stranger.url})
    expect(result.code).toBe(7)
    expect(errorOf(result)).toMatchObject({
      code: 'PERMISSION_DENIED',
      hint: expect.stringContaining('GRANT SELECT, INSERT, UPDATE, DELETE ON'),
    })
  })
})

describe('the owner of a view', () => {
  test('who may not read a table of it is named with the GRANT, which is enough, whoever refreshes', async () => {
    const owner = await createRefresher(db, 'owner')
    await db.query('create table ledger as select 1 as n; create view entries as select n from ledger')
    await db.query(`alter view entries owner to ${owner.name}`)
    await createView('balance', 'select n from entries with no data')
    for (const url of [db.url, owner.url]) {
      await db.query(`alter materialized view balance owner to ${url === db.url ? db.user : owner.name}`)
      const error = await expectRefused('balance', 'PERMISSION_DENIED', 7, {url})
      expect(error).toMatchObject({
        status: 403,
        message: `the refresh of public.balance needs the rights of ${owner.name}, who owns public.entries and may not read public.ledger`,
        hint: `GRANT SELECT ON public.ledger TO ${owner.name};`,
        details: {owner: db.user, sqlstate: '42501'},
      })
    }
    await db.query(`grant select on ledger to ${owner.name}`)
    expect((await refresh('balance', {url: owner.url})).code).toBe(0)
  })

  test('who may not make temporary tables is named with the GRANT, and standard mode needs none', async () => {
    const owner = await createRefresher(db, 'owner')
    await createView('hasty')
    await db.query('create unique index on hasty (id)')
    await db.query(`alter materialized view hasty owner to ${owner.name}`)
    await db.query(
      `grant select on users to ${owner.name}; revoke temporary on database ${db.name} from public`,
    )
    for (const url of [db.url, owner.url]) {
      const error = await expectRefused('hasty', 'PERMISSION_DENIED', 7, {url, mode: 'concurrent'})
      expect(error.message).toMatch(/make the temporary table of a concurrent refresh in database /)
      expect(error.hint).toBe(`GRANT TEMPORARY ON DATABASE ${db.name} TO ${owner.name};`)
    }
    expect((await refresh('hasty')).code).toBe(0)
    await db.query(`grant temporary on database ${db.name} to ${owner.name}`)
    expect((await refresh('hasty', {mode: 'concurrent'})).code).toBe(0)
  })
})
