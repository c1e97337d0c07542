import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {Server} from '../../src/db/database.ts'
import {homeOf, Reader} from '../../src/db/reader.ts'
import {openLogin, readOf, refusalOf} from '../support/collections.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'

let server: TestDatabase
let keeper: {name: string; url: string}
let login: {name: string; url: string}

beforeAll(async () => {
  server = await createTestDatabase()
  keeper = await server.createRole('keeper')
  login = await server.createRole('reader')
  await server.query(`grant create on schema public to ${keeper.name}`)
  const db = await new Server({databaseUrl: keeper.url, env: {}, applicationName: 'ayb migrate'}).open()
  await db.migrate()
  await db.close()
})

describe('a login of its own', () => {
  let reader: Reader
  let mallory: {name: string}

  beforeAll(async () => {
    mallory = await server.createRole('mallory')
    await server.query(`
      create schema evil authorization ${mallory.name};
      set role ${mallory.name};
      grant usage on schema evil to public;
      create materialized view evil.bait as select n as id, n as other from generate_series(1, 3) n;
      grant select on evil.bait to public;
      create function evil.act() returns bool immutable language sql as 'select true';
      create index on evil.bait (other) where evil.act();
      create or replace function evil.act() returns bool immutable language plpgsql as
      $$ begin
           perform set_config('search_path', 'evil', false);
           perform set_config('evil.who', current_user, false);
           perform pg_advisory_lock(4711);
           return true;
         end $$;
      reset role`)
    reader = await openLogin(login.url, keeper.url)
  })

  afterAll(() => reader.close())

  test('reads views of all owners, with its rights and no others', async () => {
    expect(await readOf(reader, 'evil.bait')).toMatchObject({totalItems: 3})
    expect(await refusalOf(reader, 'leaderboard')).toMatchObject({
      code: 'PERMISSION_DENIED',
      hint: `GRANT SELECT ON public.leaderboard TO ${login.name};`,
    })
  })

  test('is what the code of an owner runs as, and nothing of that stays in the session', async () => {
    const {session} = reader
    const act = `select evil.act()::text, current_setting('evil.who', true) as who`
    expect(await session.query(act)).toEqual([{act: 'true', who: login.name}])
    await session.reset()
    const {pid} = session
    for (let round = 0; round < 3; round += 1) {
      await readOf(reader, 'evil.bait')
      const [left] = await session.query(
        `select current_setting('search_path') as path, nullif(current_setting('evil.who', true), '') as who,
                (select count(*)::int from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as locks,
                (select count(*)::int from pg_prepared_statements) as statements,
                current_setting('statement_timeout') as timeout, pg_backend_pid() as pid`,
      )
      const clean = {path: 'pg_catalog, pg_temp', who: null, locks: 0, statements: 0, timeout: '0', pid}
      expect(left).toEqual(clean)
      // Also behind a read that failed.
      expect(await refusalOf(reader, 'evil.bait', {id: 'x'})).toMatchObject({code: 'INVALID_ARGUMENT'})
      expect(await session.query('show search_path')).toEqual([{search_path: 'pg_catalog, pg_temp'}])
    }
  })
})

describe('a login is refused', () => {
  const refusal = (url = login.url, serve = keeper.url) =>
    openLogin(url, serve).then(
      () => {
        throw new Error('it was let in')
      },
      (error) => error,
    )

  test.each([
    ['superuser', 'it is a superuser'],
    ['createrole', 'it may create roles (CREATEROLE)'],
    ['replication', 'it may replicate (REPLICATION)'],
    ['bypassrls', 'it passes over row security (BYPASSRLS)'],
  ])('with %s, and what it is a member of, over any distance', async (attribute, reason) => {
    await server.query(`alter role ${login.name} ${attribute}`)
    const error = await refusal()
    expect(error).toMatchObject({code: 'PERMISSION_DENIED', exitCode: 7})
    expect(error.message).toContain(
      `refusing to read views as ${login.name}, the login in AYB_COLLECTIONS_URL: ${reason}`,
    )
    await server.query(`alter role ${login.name} no${attribute}`)

    const group = await server.createRole('group', {attributes: attribute})
    const between = await server.createRole('between', {attributes: 'noinherit'})
    await server.query(`grant ${group.name} to ${between.name}; grant ${between.name} to ${login.name}`)
    expect((await refusal()).message).toContain(
      `it is a member of ${group.name}, which ${reason.replace('it ', '')}`,
    )
    await server.query(`revoke ${between.name} from ${login.name}`)
    await (await openLogin(login.url, keeper.url)).close()
  })

  const PRIVILEGES = ['grant insert on _ayb_jobs to', 'grant update (enabled) on _ayb_job_schedules to']
  test.each([
    ['create schema owned authorization', 'drop schema owned --', 'owns something'],
    ...PRIVILEGES.map((grant) => [
      grant,
      grant.replace('grant', 'revoke').replace(/ to$/, ' from'),
      'may write the tables of ayb',
    ]),
  ] as [string, string, string][])(
    'after %s it, or a role that it is a member of',
    async (give, take, reason) => {
      await server.query(`${give} ${login.name}`)
      const error = await refusal()
      expect(error).toMatchObject({code: 'PERMISSION_DENIED'})
      expect(error.message).toContain(`: it ${reason}`)
      await server.query(`${take} ${login.name}`)

      const group = await server.createRole('group')
      await server.query(`${give} ${group.name}`)
      await server.query(`grant ${group.name} to ${login.name}`)
      expect((await refusal()).message).toContain(`it is a member of ${group.name}, which ${reason}`)
      await server.query(`${take} ${group.name}`)
      await (await openLogin(login.url, keeper.url)).close()
    },
  )

  test('that owns something in another database', async () => {
    const other = await createTestDatabase()
    await other.query(`create schema theirs authorization ${login.name}`)
    expect((await refusal()).message).toContain(': it owns something')
    await other.drop()
    await (await openLogin(login.url, keeper.url)).close()
  })

  test('that is the role of the server, a member of it, or of a predefined role', async () => {
    const own = await refusal(keeper.url)
    expect(own.message).toContain(': it is the role that ayb itself connects as')
    await server.query(`grant ${keeper.name} to ${login.name}`)
    expect((await refusal()).message).toContain(
      `it is a member of ${keeper.name}, which is the role that ayb itself connects as`,
    )
    await server.query(`revoke ${keeper.name} from ${login.name}; grant pg_monitor to ${login.name}`)
    expect((await refusal()).message).toContain('which is a predefined role')
    await server.query(`revoke pg_monitor from ${login.name}`)
  })

  test('that comes to more while a session is kept, before it reads again', async () => {
    const reader = await openLogin(login.url, keeper.url)
    await reader.renew({deadlineMs: 10_000})
    await server.query(`alter role ${login.name} createrole`)
    await expect(reader.renew({deadlineMs: 10_000})).rejects.toMatchObject({code: 'PERMISSION_DENIED'})
    await server.query(`alter role ${login.name} nocreaterole`)
    await reader.renew({deadlineMs: 10_000})
    await reader.close()
  })

  test('that leads to another database, or another server', async () => {
    const other = await createTestDatabase()
    const url = new URL(login.url)
    url.pathname = other.name
    expect(await refusal(url.href)).toMatchObject({
      code: 'CONNECTION_FAILED',
      status: 503,
      message: `AYB_COLLECTIONS_URL leads to the database "${other.name}", not to "${server.name}"`,
    })
    const db = await new Server({databaseUrl: keeper.url, env: {}, applicationName: 'ayb serve'}).open()
    const elsewhere = {...(await homeOf(db)), system: '1'}
    await db.close()
    await expect(
      Reader.open({databaseUrl: login.url, env: {}, applicationName: 'ayb serve'}, elsewhere),
    ).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: `AYB_COLLECTIONS_URL leads to a database "${server.name}" of another server`,
    })
  })
})
