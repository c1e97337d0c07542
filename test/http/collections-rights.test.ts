import type pg from 'pg'
import {beforeAll, beforeEach, describe, expect, test} from 'vitest'
import type {Reader} from '../../src/db/reader.ts'
import {openAs, readOf, refusalOf, textOf} from '../support/collections.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {safeSession} from '../support/springs.ts'

const KEY = 4711

/**
 * Functions of another role that planning a query calls. A read may write nothing, so they tell by a session
 * lock, which a rollback does not free, and by an error, if `raises` is on.
 */
const hostileCode = (raises: boolean): string => `
  create or replace function evil_code.act() returns void language plpgsql set search_path = pg_catalog as
  $$ begin
       perform set_config('evil.who', current_user, false);
       perform pg_advisory_lock_shared(${KEY});
       ${raises ? `raise exception 'ran as %', current_user;` : ''}
     end $$;
  create or replace function evil_code.quiet() returns bool immutable language plpgsql as
  $$ begin perform evil_code.act(); return true; end $$;
  create or replace function evil_code.diff(float8, float8) returns float8 immutable language plpgsql as
  $$ begin
       perform evil_code.act();
       perform set_config('search_path', 'evil_code, pg_catalog', false);
       return $1 - $2;
     end $$;`

const harmlessCode = `
  create or replace function evil_code.quiet() returns bool immutable language sql as 'select true';
  create or replace function evil_code.diff(float8, float8) returns float8 immutable language sql as 'select $1 - $2';`

describe('the code of a role that could not act as ours', {timeout: 60_000}, () => {
  let server: TestDatabase
  let safe: pg.Client
  let mallory: {name: string}
  let reader: Reader

  const asMallory = (sql: string) => safe.query(`set role ${mallory.name}; ${sql}; reset role`)
  const hasRun = async () =>
    (await safe.query(`select from pg_locks where locktype = 'advisory' and objid = ${KEY}`)).rows.length > 0

  beforeAll(async () => {
    server = await createTestDatabase()
    safe = await safeSession(server)
    mallory = await server.createRole('mallory')
    await safe.query(`
      grant create on database ${server.name} to ${mallory.name};
      create schema evil_code authorization ${mallory.name};
      grant usage on schema evil_code to public`)
  })

  beforeEach(async () => {
    await safe.query(`reset role; drop schema if exists moved, evil, ready cascade`)
    await asMallory(`${harmlessCode}; create schema evil; grant usage on schema evil to public`)
    reader = await openAs(server.url)
    return () => reader.close()
  })

  /**
   * A view that anybody may read, with the index of a range type whose function tells of ranges how far they
   * are apart.
   */
  const rangeView = `
    drop type if exists evil_code.r cascade;
    create type evil_code.r as range (subtype = float8, subtype_diff = evil_code.diff);
    create materialized view evil.spread as
      select n as id, n as other, evil_code.r(n, n + 1) as r from generate_series(1, 1000) n;
    grant select on evil.spread to public;
    create index on evil.spread (other) where id = 5 or r && '[1,3)'::evil_code.r;
    analyze evil.spread`

  test('runs when somebody plans a query on its view: the difference of a range type', async () => {
    await asMallory(`${rangeView}; ${hostileCode(true)}`)
    const careless = await server.connect()
    await expect(careless.query('select id from evil.spread where id = 5')).rejects.toThrow(
      `ran as ${server.user}`,
    )
    await careless.end()
  })

  test('does not run by the difference of a range type', async () => {
    await asMallory(`${rangeView}; ${hostileCode(true)}`)
    const error = await refusalOf(reader, 'evil.spread', {id: '5'})
    expect(error.message).not.toContain('ran as')
    expect(await hasRun()).toBe(false)
    expect(error).toMatchObject({code: 'PERMISSION_DENIED', status: 403, details: {owner: mallory.name}})
  })

  test('leaves nothing behind in the session', async () => {
    await asMallory(`${rangeView}; ${hostileCode(false)}`)
    await textOf(reader, 'evil.spread', {id: '5'}).catch(() => {})
    expect(await reader.session.query('show search_path')).toEqual([{search_path: 'pg_catalog, pg_temp'}])
    expect(await hasRun()).toBe(false)
  })

  const bait = `
    create materialized view SCHEMA.bait as select n as id from generate_series(1, 3) n;
    grant select on SCHEMA.bait to public;`
  const trap = `create index on SCHEMA.bait (id) where evil_code.quiet(); ${hostileCode(true)}`

  /**
   * Before each statement of a read in turn, another transaction does something: as often as there are
   * statements.
   */
  async function attackedBetween(set: () => Promise<unknown>, attack: () => Promise<unknown>) {
    const errors: (Error | null)[] = []
    for (let at = 1; ; at += 1) {
      await reader.close()
      await safe.query(`reset role; drop schema if exists moved, evil, ready cascade`)
      await asMallory(`${harmlessCode}; create schema evil; grant usage on schema evil to public`)
      await set()
      reader = await openAs(server.url)
      const sent = beforeStatement(reader, at, attack)
      errors.push(
        await textOf(reader, 'evil.bait', {id: '1'}).then(
          () => null,
          (error) => error,
        ),
      )
      if (sent() < at) return errors
    }
  }

  test('does not run by an index that is made between check and read', async () => {
    const errors = await attackedBetween(
      () => asMallory(bait.replaceAll('SCHEMA', 'evil')),
      () => asMallory(trap.replaceAll('SCHEMA', 'evil')),
    )
    expect(errors.map(String)).not.toContainEqual(expect.stringContaining('ran as'))
    expect(await hasRun()).toBe(false)
  })

  test('does not run by a view that takes the place of another between check and read', async () => {
    const errors = await attackedBetween(
      async () => {
        await safe.query(bait.replaceAll('SCHEMA', 'evil'))
        await asMallory(`create schema ready; grant usage on schema ready to public;
          ${bait.replaceAll('SCHEMA', 'ready')} ${trap.replaceAll('SCHEMA', 'ready')}`)
      },
      () => asMallory('alter schema evil rename to moved; alter schema ready rename to evil'),
    )
    expect(errors.map(String)).not.toContainEqual(expect.stringContaining('ran as'))
    expect(await hasRun()).toBe(false)
  })
})

describe('a view is read as the role that ayb is connected as', {timeout: 60_000}, () => {
  let server: TestDatabase
  let keeper: {name: string; url: string}
  let stranger: {name: string; url: string}
  let reader: Reader
  let version: number

  beforeAll(async () => {
    server = await createTestDatabase()
    keeper = await server.createRole('keeper')
    stranger = await server.createRole('stranger')
    const [row] = await server.query<{version: number}>(
      "select current_setting('server_version_num')::int as version",
    )
    version = row?.version ?? 0
    reader = await openAs(keeper.url)
    await server.query(`
      create schema app authorization ${keeper.name};
      create schema theirs authorization ${stranger.name};
      grant usage on schema theirs to public;
      set role ${stranger.name};
      create type theirs.mood as enum ('sad', 'happy');
      create function theirs.yes() returns bool immutable language sql as 'select true';
      create function theirs.five() returns int immutable language sql as 'select 5';
      create function theirs.odd(int, int) returns bool immutable language sql as 'select true';
      create function theirs.diff(float8, float8) returns float8 immutable language sql as 'select $1 - $2';
      create operator theirs.=== (leftarg = int, rightarg = int, function = theirs.odd);
      reset role`)
    return () => reader.close()
  })

  beforeEach(async () => {
    await server.query(`
      drop materialized view if exists app.v;
      create materialized view app.v as select n as id, n as other from generate_series(1, 3) n;
      grant select on app.v to ${keeper.name}`)
  })

  const own = (owner: string) => server.query(`alter materialized view app.v owner to ${owner}`)

  test('where it belongs to that role, to a member of it, or to a superuser', async () => {
    expect(await readOf(reader, 'app.v')).toMatchObject({totalItems: 3})
    await own(keeper.name)
    expect(await readOf(reader, 'app.v')).toMatchObject({totalItems: 3})
    const member = await server.createRole('member')
    const group = await server.createRole('between')
    await server.query(`grant ${keeper.name} to ${group.name}; grant ${group.name} to ${member.name}`)
    await own(member.name)
    await server.query(`grant select on app.v to ${keeper.name}`)
    expect(await readOf(reader, 'app.v')).toMatchObject({totalItems: 3})
  })

  test('not where it belongs to anybody else, and what helps is said', async () => {
    await own(stranger.name)
    const error = await refusalOf(reader, 'app.v')
    expect(error).toMatchObject({code: 'PERMISSION_DENIED', status: 403, details: {owner: stranger.name}})
    expect(error.message).toBe(
      `refusing to read app.v as ${keeper.name}: the view belongs to ${stranger.name}, and reading the view can run code of that owner`,
    )
    expect(error.hint).toContain('AYB_COLLECTIONS_URL')
    expect(error.hint).not.toContain('--')
  })

  test('where a membership without SET or ADMIN makes nobody that role', async ({skip}) => {
    if (version < 160_000) skip()
    await own(stranger.name)
    await server.query(`grant ${keeper.name} to ${stranger.name} with set false, inherit true`)
    expect(await refusalOf(reader, 'app.v')).toMatchObject({code: 'PERMISSION_DENIED'})
    await server.query(`grant ${keeper.name} to ${stranger.name} with admin true`)
    expect(await readOf(reader, 'app.v')).toMatchObject({totalItems: 3})
    await server.query(`revoke ${keeper.name} from ${stranger.name}`)
  })

  test('not where the role that logged in is more than the one that reads', async () => {
    const admin = await server.createRole('admin')
    await server.query(
      `grant ${keeper.name} to ${admin.name}; alter role ${admin.name} set role = ${keeper.name}`,
    )
    const both = await openAs(admin.url)
    await own(keeper.name)
    expect(await refusalOf(both, 'app.v')).toMatchObject({code: 'PERMISSION_DENIED'})
    await both.close()
  })

  const view = (columns: string) =>
    `drop materialized view app.v; create materialized view app.v as select 1 as id, 1 as other, ${columns} as x`

  test.each([
    ['the type theirs.mood', view("'sad'::theirs.mood")],
    ['the type theirs.mood', view("array['sad']::theirs.mood[]")],
    ['the type theirs.mood', `create domain app.sort as theirs.mood; ${view("'sad'::app.sort")}`],
    [
      'the type theirs.mood',
      `create type app.pair as (a int, b theirs.mood); ${view("row(1, 'sad')::app.pair")}`,
    ],
    [
      'the type theirs.mood',
      `create type app.moods as range (subtype = theirs.mood); ${view("'[sad,happy]'::app.moods")}`,
    ],
    [
      'the function theirs.diff(double precision,double precision)',
      `create type app.span as range (subtype = float8, subtype_diff = theirs.diff); ${view("'[1,3)'::app.span")}`,
    ],
    ['the function theirs.yes()', 'create index on app.v (id) where theirs.yes()'],
    [
      'the function theirs.odd(integer,integer)',
      'create index on app.v (id) where (1 operator(theirs.===) 2)',
    ],
    ['the function theirs.five()', 'create statistics app.s on (id + theirs.five()), (other) from app.v'],
    [
      'the type theirs.mood',
      "create index on app.v (id) where (case id when 1 then 'sad'::theirs.mood end) is null",
    ],
    ['its schema', `alter schema app owner to ${'STRANGER'}`],
    [
      'the schema of the type theirs.citext',
      `create extension citext schema theirs; ${view("'x'::theirs.citext")}`,
    ],
  ])('not where something of it belongs to anybody else: %s', async (what, change) => {
    await server.query(
      `${change.replace('STRANGER', stranger.name)}; grant select on app.v to ${keeper.name}`,
    )
    const error = await refusalOf(reader, 'app.v')
    expect(error).toMatchObject({code: 'PERMISSION_DENIED', details: {owner: stranger.name}})
    expect(error.message).toContain(`: ${what} belongs to ${stranger.name}`)
    await server.query(`alter schema app owner to ${keeper.name}; drop extension if exists citext cascade`)
  })

  test('without planning a query before it is known whose the view is', async () => {
    await server.query(`
      create function app.quiet() returns bool immutable language sql as 'select true';
      create index on app.v (id) where app.quiet();
      create or replace function app.quiet() returns bool immutable language plpgsql as
      $$ begin raise exception 'planned'; end $$`)
    const session = await server.connect()
    await session.query('begin; prepare p as select from app.v')
    const held = `select mode from pg_locks where relation = 'app.v'::regclass`
    expect((await server.query(held)).map(({mode}) => mode)).toEqual(['AccessShareLock'])
    await expect(session.query('execute p')).rejects.toThrow('planned')
    await session.end()
  })
})

/** Runs `act` before the statement of that number goes out; returns how many went out. */
function beforeStatement({session}: Reader, position: number, act: () => Promise<unknown>): () => number {
  let sent = 0
  const watched =
    <A extends unknown[], R>(send: (...args: A) => Promise<R>) =>
    async (...args: A) => {
      sent += 1
      if (sent === position) await act()
      return send(...args)
    }
  Object.assign(session, {
    query: watched(session.query.bind(session)),
    script: watched(session.script.bind(session)),
  })
  return () => sent
}
