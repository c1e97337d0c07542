import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {type Changes, watchChanges} from '../support/changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {serverVersion} from '../support/refresh.ts'
import {startRewritingProxy} from '../support/rewriting-proxy.ts'
import {until} from '../support/until.ts'

let server: TestDatabase
let changes: Changes
const run = (...statements: string[]) => changes.run(...statements)
const check = (viewName: string) => changes.check(viewName)
const settled = (query: string, ...before: string[]) => changes.settled(query, ...before)

beforeAll(async () => {
  server = await createTestDatabase({template: false})
  changes = await watchChanges(server.url)
})

afterAll(() => changes?.close())

describe('what moves a view', () => {
  test.each([
    ['INSERT', ['insert into t values (100, 1)'], 'refreshed'],
    ['an UPDATE that changes nothing', ['update t set n = n where id = 1'], 'refreshed'],
    ['DELETE', ['delete from t where id = 2'], 'refreshed'],
    ['an INSERT that is rolled back', ['begin', 'insert into t values (101, 1)', 'rollback'], 'refreshed'],
    [
      'a savepoint that is rolled back',
      ['begin', 'savepoint s', 'insert into t values (102, 1)', 'rollback to s', 'commit'],
      'refreshed',
    ],
    [
      'ON CONFLICT DO UPDATE',
      ['insert into t values (1, 5) on conflict (id) do update set n = 5'],
      'refreshed',
    ],
    ['ON CONFLICT DO NOTHING', ['insert into t values (1, 5) on conflict do nothing'], 'unchanged'],
    ['SELECT FOR UPDATE', ['select * from t for update'], 'unchanged'],
    ['TRUNCATE', ['truncate t'], 'refreshed'],
    ['TRUNCATE of an empty table', ['truncate t'], 'refreshed'],
    [
      'MERGE',
      ['merge into t using (values (7)) s(id) on t.id = s.id when not matched then insert values (s.id, 1)'],
      'refreshed',
    ],
    ['VACUUM and ANALYZE', ['vacuum analyze t'], 'unchanged'],
    ['VACUUM FULL', ['vacuum full t'], 'refreshed'],
    ['CLUSTER', ['cluster t using t_pkey'], 'refreshed'],
    ['SET UNLOGGED', ['alter table t set unlogged'], 'refreshed'],
    ['SET LOGGED', ['alter table t set logged'], 'refreshed'],
    [
      'a rewriting ALTER TABLE',
      ['alter table t add column r double precision default random()'],
      'refreshed',
    ],
    ['a column that the view does not read', ['alter table t add column c int default 1'], 'unchanged'],
    [
      'another name of a column that the view does not read',
      ['alter table t rename column c to d'],
      'unchanged',
    ],
    ['the end of a column that the view does not read', ['alter table t drop column d'], 'unchanged'],
    ['an index', ['create index on t (n)'], 'unchanged'],
    [
      'a write with session_replication_role = replica',
      ['set session_replication_role = replica', 'insert into t values (103, 1)'],
      'refreshed',
    ],
    ['COMMIT in a DO block', ['do $$ begin insert into t values (104, 1); commit; end $$'], 'refreshed'],
    ['a write of another table', ['insert into other values (1)'], 'unchanged'],
  ])('%s', async (_, statements, expected) => {
    await run(
      'create table if not exists t (id int primary key, n int)',
      'create table if not exists other (id int)',
      'insert into t values (1, 1), (2, 1) on conflict do nothing',
    )
    const view = await settled('select id, n from t')
    expect(await check(view)).toBe('unchanged')
    await run(...(statements as string[]))
    expect(await check(view)).toBe(expected)
    expect(await check(view)).toBe('unchanged')
  })

  test('COPY', async () => {
    const view = await settled('select count(*) from copied', 'create table copied (id int)')
    await run(`copy copied from program 'echo 1'`)
    expect(await check(view)).toBe('refreshed')
  })

  test('partitions, attached and detached', async () => {
    const view = await settled(
      'select count(*) from parts',
      'create table parts (id int) partition by range (id)',
      'create table parts1 partition of parts for values from (0) to (10)',
      'create table parts2 (id int)',
    )
    expect(await check(view)).toBe('unchanged')
    for (const sql of [
      'insert into parts values (1)',
      'insert into parts1 values (2)',
      'alter table parts attach partition parts2 for values from (10) to (20)',
      'insert into parts2 values (12)',
      'alter table parts detach partition parts1',
    ]) {
      await run(sql)
      expect([sql, await check(view), await check(view)]).toEqual([sql, 'refreshed', 'unchanged'])
    }
  })

  test('children that inherit, through two plain views', async () => {
    const view = await settled(
      'select count(*) from above',
      'create table parent (id int)',
      'create table child (extra int) inherits (parent)',
      'create view below as select id from parent',
      'create view above as select id from below where id > 0',
    )
    for (const sql of [
      'insert into child values (1, 1)',
      'alter table child no inherit parent',
      'alter table child inherit parent',
      'create or replace view below as select id from parent where id > 5',
    ]) {
      await run(sql)
      expect([sql, await check(view), await check(view)]).toEqual([sql, 'refreshed', 'unchanged'])
    }
  })

  test('a parent that is refreshed; not where a concurrent refresh found no difference', async () => {
    const parent = await settled('select id from base', 'create table base (id int primary key)')
    const child = await settled(`select count(*) from ${parent}`)
    await run(`create unique index on ${parent} (id)`)
    expect(await check(child)).toBe('unchanged')
    await run(`refresh materialized view ${parent}`)
    expect(await check(child)).toBe('refreshed')
    await run(`refresh materialized view concurrently ${parent}`)
    expect(await check(child)).toBe('unchanged')
    const elsewhere = await watchChanges(server.url)
    // At once, and the second time too, since ayb has its sessions send the counters of their refreshes.
    for (const id of [1, 2]) {
      await run(`insert into base values (${id})`)
      expect(await changes.check(parent, 'concurrent')).toBe('refreshed')
      expect(await elsewhere.check(child)).toBe('refreshed')
    }
    await elsewhere.close()
  })

  test('a partition that is being detached and waits for that', async () => {
    const view = await settled(
      'select count(*) as n from slow_parts',
      'create table slow_parts (id int) partition by range (id)',
      'create table slow_parts1 partition of slow_parts for values from (0) to (10)',
      'create table slow_parts2 partition of slow_parts for values from (10) to (20)',
      'insert into slow_parts values (1), (11)',
    )
    const reader = await server.connect()
    await reader.query('begin isolation level repeatable read')
    await reader.query('select count(*) from slow_parts')
    const detaching = await server.connect()
    const {rows} = await detaching.query('select pg_backend_pid() as pid')
    const detached = detaching
      .query('alter table slow_parts detach partition slow_parts1 concurrently')
      .catch((error) => error)
    const isPending = `select from pg_inherits where inhrelid = 'slow_parts1'::regclass and inhdetachpending`
    await until(async () => (await server.query(isPending)).length > 0, {
      what: 'the partition to be on its way out',
    })
    await server.query('select pg_cancel_backend($1)', [rows[0].pid])
    expect(await detached).toMatchObject({code: '57014'})
    await reader.query('rollback')
    // It stays so until somebody finishes it, and the view reads it no more.
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
    expect(await server.query(`select n::int from ${view}`)).toEqual([{n: 1}])
  })

  test('columns of the row type of another table', async () => {
    const view = await settled(
      'select to_jsonb(part) as part from wholes',
      'create table pieces (a int, b int)',
      'create table wholes (part pieces)',
      'insert into wholes values (row(1, 2))',
    )
    expect(await check(view)).toBe('unchanged')
    await run('alter table pieces rename column a to z')
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
    await run('alter table pieces add column c regclass')
    expect(await check(view)).toContain('the definition uses the type regclass')
  })

  test.each([
    ['another name of a column', 'alter table wide rename column a to z'],
    ['the end of a column', 'alter table wide drop column b'],
    ['another name of a column of a plain view', 'alter view narrow rename column a to z'],
  ])('whole rows: %s', async (_, change) => {
    const view = await settled(
      'select to_jsonb(wide) as whole, to_jsonb(narrow) as part from wide, narrow',
      'drop table if exists wide cascade',
      'create table wide (id int, a int, b int)',
      'create view narrow as select id, a from wide',
      'insert into wide values (1, 2, 3)',
    )
    expect(await check(view)).toBe('unchanged')
    await run(change)
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
  })

  test('rows that somebody puts back from an older snapshot', async () => {
    const view = await settled('select id from past', 'create table past (id int)')
    const old = await server.connect()
    await old.query('begin isolation level repeatable read')
    await old.query('select count(*) from past')
    await run('insert into past values (1)')
    expect(await check(view)).toBe('refreshed')
    await old.query(`refresh materialized view ${view}`)
    await old.query('commit')
    await old.end()
    expect(await server.query(`select id from ${view}`)).toEqual([])
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
    expect(await server.query(`select id from ${view}`)).toEqual([{id: 1}])
  })

  test('the view itself, when somebody else refreshes or empties it', async () => {
    const view = await settled(
      'select id from own',
      'create table own (id int)',
      'insert into own values (1)',
    )
    await run(`refresh materialized view ${view}`)
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
    await run(`refresh materialized view ${view} with no data`)
    expect([await check(view), await check(view)]).toEqual([expect.stringMatching('refreshed'), 'unchanged'])
    await run(`drop materialized view ${view}`, `create materialized view ${view} as select id from own`)
    expect(await check(view)).toBe('refreshed')
  })

  test.each([
    ['an enum label', `alter type mood rename value 'ok' to 'fine'`],
    [
      'a function that an immutable function calls',
      'create or replace function inner_f(int) returns int immutable language sql as $$ select $1 + 2 $$',
    ],
    ['an attribute of a composite type', 'alter type pair rename attribute a to z'],
    [
      "an aggregate's support function",
      'create or replace function step(int, int) returns int immutable language sql as $$ select $1 + 2 * $2 $$',
    ],
    ['a column of a table that is read as whole rows', 'alter table rows add column more int default 7'],
    ['a domain', 'alter domain small add check (value < 1000)'],
  ])('the definition: %s', async (_, change) => {
    await run(
      'drop schema if exists defs cascade; create schema defs; set search_path = defs, public',
      `set search_path = public;
       drop type if exists mood, pair cascade; drop table if exists rows cascade; drop domain if exists small cascade;
       drop function if exists inner_f(int), outer_f(int), step(int, int) cascade;
       create type mood as enum ('ok', 'bad'); create type pair as (a int, b int); create domain small as int;
       create table rows (id int, m mood, s small);
       insert into rows values (1, 'ok', 5);
       create function inner_f(int) returns int immutable language sql as $$ select $1 + 1 $$;
       create function outer_f(int) returns int immutable language sql as $$ select public.inner_f($1) $$;
       create function step(int, int) returns int immutable language sql as $$ select $1 + $2 $$;
       create aggregate total(int) (sfunc = step, stype = int, initcond = '0')`,
    )
    const view = await settled(
      `select id, m::text, outer_f(id) as o, to_jsonb(row(1, 2)::pair) as p, to_jsonb(rows) as whole,
              (select total(id) from rows) as sum, s from rows`,
    )
    expect(await check(view)).toBe('unchanged')
    await run(change)
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
  })

  test('settings that stable functions read', async () => {
    const view = await settled(`select to_char(at, 'HH24') from times`, 'create table times (at timestamptz)')
    expect(await check(view)).toBe('unchanged')
    await changes.db.session.query(`set TimeZone = 'Asia/Tokyo'`)
    expect(await check(view)).toBe('refreshed')
    await changes.db.session.query('reset TimeZone')
  })

  test('text search', async () => {
    const view = await settled(
      `select to_tsvector('words', body) from texts`,
      'create text search configuration words (copy = simple)',
      'create table texts (body text)',
    )
    expect(await check(view)).toBe('unchanged')
    await run('alter text search configuration words alter mapping for asciiword with english_stem')
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
  })
})

describe('the order of the look, the refresh and the note', () => {
  test('rows that are committed between the look and the refresh come with the next one', async () => {
    const view = await settled('select id from gap', 'create table gap (id int)')
    await run('insert into gap values (1)')
    const writer = await server.connect()
    await writer.query('begin')
    await writer.query('lock table gap in access exclusive mode')
    await writer.query('insert into gap values (2)')
    const first = check(view)
    // The refresh has its snapshot by now, and waits for the table.
    await until(
      async () =>
        (await server.query(`select from pg_locks where relation = 'gap'::regclass and not granted`)).length >
        0,
      {
        what: 'the refresh to wait for the table',
      },
    )
    await writer.query('commit')
    await writer.end()
    expect(await first).toBe('refreshed')
    await check(view)
    expect(await server.query(`select id from ${view} order by id`)).toEqual([{id: 1}, {id: 2}])
    expect(await check(view)).toBe('unchanged')
  })

  test('a refresh that fails leaves no trace: the next one is no skip', async () => {
    const view = await settled('select 10 / n as n from divisors', 'create table divisors (n int)')
    await run('insert into divisors values (0)')
    await expect(check(view)).rejects.toMatchObject({code: 'REFRESH_FAILED'})
    await expect(check(view)).rejects.toMatchObject({code: 'REFRESH_FAILED'})
    await run('update divisors set n = 2')
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
  })

  test('a refresh of ayb in another session, a concurrent one, is no change', async () => {
    const view = await settled('select id from elsewhere', 'create table elsewhere (id int)')
    await run(`create unique index on ${view} (id)`, 'insert into elsewhere values (1)')
    const other = await watchChanges(server.url)
    expect(await other.check(view, 'concurrent')).toBe('refreshed')
    await other.close()
    expect(await check(view)).toBe('unchanged')
  })
})

describe('how counters get lost', () => {
  test.each([
    ['pg_stat_reset()', 'select pg_stat_reset()'],
    ['a reset of one table', `select pg_stat_reset_single_table_counters('lost'::regclass)`],
  ])('%s', async (_, reset) => {
    await run('create table if not exists lost (id int)')
    const view = await settled('select count(*) from lost')
    expect(await check(view)).toBe('unchanged')
    await run(reset)
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
  })
})

describe('what forbids skipping', () => {
  test.each([
    ['select * from f where at < now()', 'calls now()'],
    ['select current_date as d from f', 'calls current_date'],
    ['select current_timestamp as t from f', 'calls current_timestamp'],
    ['select localtime as t from f', 'calls localtime'],
    ['select age(at) from f', 'calls age()'],
    ['select random() from f', 'calls random(), which is volatile'],
    ['select current_user::text as u from f', 'current_user'],
    [`select current_setting('work_mem') from f`, 'calls current_setting()'],
    ['select * from f tablesample system (10)', 'random sample'],
    ['select relname::text from pg_class', 'pg_class'],
    ['select last_value from seq', 'seq is a sequence'],
    [`select nextval('seq') from f`, 'regclass'],
    [`select has_table_privilege('f', 'select') from f`, 'calls has_table_privilege()'],
    ['select pg_get_userbyid(10)::text as u from f', 'calls pg_get_userbyid()'],
    ['select wild(id::int) from f', 'calls wild_step(), which is volatile'],
    ['select id from through', 'secured has row security'],
    ['select id from odd_method', 'odd_method has a table access method of its own'],
    [`select body::date from f`, 'date_in()'],
    ['select body::date[] from (select array[body] as body from f) x', 'date_in()'],
    ['select id::regclass::text from f', 'regclass'],
    ['select tableoid::regclass::text as o from f', 'regclass'],
    ['select xmin::text as x from f', 'system column'],
    ['select stable_f(id) from f', 'calls stable_f()'],
    ['select with_clock() from f', 'calls now()'],
    ['select with_day() from f', 'calls current_date'],
    ['select id from secured', 'secured has row security'],
    ['select id from outside', 'outside is a foreign table'],
    ['select count(*) from with_foreign', 'outside_part is a foreign table'],
    [`select table_name::text from information_schema.tables`, 'belongs to Postgres'],
    ['select timetz(at::time) from f', 'calls timetz()'],
    [
      `select s from f, lateral (select query_to_xml('select 1', true, true, '')::text as s) x`,
      'query_to_xml()',
    ],
  ])('%s', async (query, reason) => {
    await run(`
      create table if not exists f (id oid, at timestamptz, body text);
      create sequence if not exists seq;
      create or replace function stable_f(oid) returns int stable language sql as 'select 1';
      create or replace function with_clock(at timestamptz default now()) returns timestamptz immutable language sql as 'select at';
      create or replace function with_day(day date default current_date) returns date immutable language sql as 'select day';
      create table if not exists secured (id int); alter table secured enable row level security;
      create or replace view through as select id from secured;
      drop access method if exists odd_heap cascade;
      create access method odd_heap type table handler heap_tableam_handler;
      create table odd_method (id int) using odd_heap;
      create or replace function wild_step(int, int) returns int language sql as 'select $1 + $2';
      create or replace aggregate wild(int) (sfunc = wild_step, stype = int, initcond = '0');
      create extension if not exists file_fdw;
      drop server if exists files cascade; create server files foreign data wrapper file_fdw;
      create foreign table outside (id int) server files options (program 'echo 1');
      drop table if exists with_foreign cascade; create table with_foreign (id int) partition by list (id);
      create foreign table outside_part partition of with_foreign for values in (1) server files options (program 'echo 1')`)
    const view = await settled(query)
    expect(await check(view)).toMatch(`always refreshed`)
    expect(await check(view)).toContain(reason)
  })

  test('nothing, for functions whose answer the settings determine', async () => {
    const view = await settled(
      `select date_trunc('day', at) as d, to_char(at, 'YYYY') as y, at + interval '1 day' as n, extract(hour from at) as h,
              to_jsonb(body) as j, concat(body, id) as c, jsonb_agg(id) as a, format('%s', body) as f, at::date as day,
              to_tsvector(body) as v, count(*) over () as w, plus(id) as p
         from repeatable where at > '2020-01-01'::date group by id, at, body`,
      `create table repeatable (id int, at timestamptz, body varchar(20));
       create function plus(n int, m int default 1) returns int immutable language sql as 'select n + m'`,
    )
    expect(await check(view)).toBe('unchanged')
  })

  test('a type of users whose output is not immutable', async () => {
    const view = await settled(
      'select body from odd_texts',
      `create type odd; create function odd_in(cstring) returns odd language internal immutable strict as 'textin';
       create function odd_out(odd) returns cstring language internal stable strict as 'textout';
       create type odd (input = odd_in, output = odd_out, like = text)`,
      'create table odd_texts (body odd)',
    )
    expect(await check(view)).toBe(
      'always refreshed: type odd has an input or output function that is not immutable',
    )
    // Any function of users could use the type.
    await run('drop type odd cascade')
  })

  test.each(['database %I', 'role %I', 'role all'])('track_counts of a %s', async (whose) => {
    const set = (change: string) =>
      run(
        `do $$ begin execute format('alter ${whose} ${change}', ${whose.startsWith('role') ? 'current_user' : 'current_database()'}); end $$`,
      )
    const view = await settled('select count(*) from counted', 'create table if not exists counted (id int)')
    expect(await check(view)).toBe('unchanged')
    await set('set track_counts = off')
    expect(await check(view)).toBe('always refreshed: track_counts is set for a role or for the database')
    await set('reset track_counts')
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
  })

  test('track_counts of the session', async () => {
    const view = await settled('select count(*) from tallied', 'create table tallied (id int)')
    await changes.db.session.query('set track_counts = off')
    expect(await check(view)).toBe('always refreshed: track_counts is off')
    await changes.db.session.query('reset track_counts')
    expect([await check(view), await check(view)]).toEqual(['refreshed', 'unchanged'])
  })

  test('a role that may not read what tells of lost counters', async () => {
    const owner = await server.createRole('owner')
    const view = await settled('select count(*) from closed', 'create table closed (id int)')
    await run(
      `alter materialized view ${view} owner to ${owner.name}`,
      `grant select on closed to ${owner.name}`,
      `grant select, insert, update, delete on all tables in schema public to ${owner.name}`,
      'revoke execute on function pg_control_system() from public',
    )
    const elsewhere = await watchChanges(owner.url)
    for (let time = 0; time < 2; time++) {
      expect(await elsewhere.check(view)).toBe(
        'always refreshed: ayb may not look for changes here, or may not store what it saw',
      )
    }
    await elsewhere.close()
    await run('grant execute on function pg_control_system() to public')
  })

  test('a version that is newer than those ayb was tested with', async ({skip}) => {
    const number = String(await serverVersion(server))
    skip(number < '170000', 'ayb sets what older servers do not know')
    const view = await settled('select count(*) from future', 'create table future (id int)')
    const {hostname, port} = new URL(server.url)
    const proxy = await startRewritingProxy({host: hostname, port: Number(port)}, number, '990001')
    const url = new URL(server.url)
    url.port = String(proxy.port)
    const elsewhere = await watchChanges(url.href)
    expect(await elsewhere.check(view)).toBe(
      'always refreshed: this version of Postgres is newer than those that ayb was tested with',
    )
    await elsewhere.close()
    await proxy.close()
  })
})
