import {beforeAll, describe, expect, test} from 'vitest'
import type {Database} from '../../src/db/database.ts'
import {readDependencies} from '../../src/db/dependencies.ts'
import {readAllEdges, type ViewEdge} from '../../src/db/edges.ts'
import {qualifiedName} from '../../src/lib/identifier.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'

let server: TestDatabase
let db: Database

/** Each edge as text: `parent > through > child`. Both ways to read them have the same. */
async function edges(of = db): Promise<string[]> {
  const found = await readDependencies(of)
  const ends = ({parent, child}: ViewEdge) => `${qualifiedName(parent)} > ${qualifiedName(child)}`
  expect((await readAllEdges(of)).map(ends).sort()).toEqual(found.edges.map(ends).sort())
  return found.edges.map(({parent, child, through}) =>
    [qualifiedName(parent), ...through, qualifiedName(child)].join(' > '),
  )
}

async function opaque(): Promise<string[]> {
  const found = await readDependencies(db)
  return found.opaque.map((view) => `${qualifiedName(view)}: ${view.function}`)
}

beforeAll(async () => {
  server = await createTestDatabase({template: false})
  await server.query(
    `create table base (id int, day date); create materialized view m as select id, day from base`,
  )
  db = await openDatabase(server)
})

/** Runs statements for one test, without those before it. */
async function given(sql: string): Promise<void> {
  await server.query(`drop schema if exists s cascade; create schema s; set search_path = s, public; ${sql};
    reset search_path`)
}

describe('the graph of materialized views', () => {
  test('has an edge for a view that reads another one, once for any number of columns', async () => {
    await given(
      'create materialized view a as select x.id, x.day, y.id as other from m x join m y using (day)',
    )
    expect(await edges()).toEqual(['public.m > s.a'])
  })

  test('leads through plain views, each named once, and not past the next materialized view', async () => {
    await given(`create view v1 as select id from m; create view v2 as select id from v1;
      create materialized view a as select id from v2 union all select id from v1;
      create materialized view b as select id from a`)
    expect(await edges()).toEqual(['public.m > s.v1 > s.v2 > s.a', 's.a > s.b'])
  })

  test('leads through a hundred plain views', async () => {
    await given(`create view v0 as select id from m;
      do $$ begin for n in 1..100 loop
        execute format('create view s.v%s as select id from s.v%s', n, n - 1); end loop; end $$;
      create materialized view deep as select id from v100`)
    const [edge] = (await readDependencies(db)).edges
    expect(edge?.through).toEqual(Array.from({length: 101}, (_, n) => `s.v${n}`))
  })

  test('names of each edge only what lies between its own ends', async () => {
    await given(`create materialized view n as select 1 as id; create view over_m as select id from m;
      create view over_n as select id from n; create view both_of_them as select id from over_m union select id from over_n;
      create materialized view a as select id from both_of_them`)
    expect(await edges()).toEqual([
      'public.m > s.over_m > s.both_of_them > s.a',
      's.n > s.over_n > s.both_of_them > s.a',
    ])
  })

  test('knows views in other schemas and by any name', async () => {
    await given(`drop schema if exists "Sales ""2026""" cascade; create schema "Sales ""2026""";
      create view "Sales ""2026"""."Plain.view" as select id from m;
      create materialized view "Sales ""2026"""."Total.of all" as select id from "Sales ""2026"""."Plain.view"`)
    expect(await edges()).toEqual([
      'public.m > "Sales ""2026"""."Plain.view" > "Sales ""2026"""."Total.of all"',
    ])
    await server.query('drop schema "Sales ""2026""" cascade')
  })

  test('is not confused by partitions, child tables and rules of tables', async () => {
    await given(`create table parts (id int) partition by list (id);
      create table part partition of parts for values in (1);
      create table old (id int); create table older () inherits (old);
      create rule copied as on insert to old do also select id from m;
      create view writable as select id from old;
      create rule written as on insert to writable do instead select id from m;
      create materialized view over_parts as select id from parts union all select id from old;
      create materialized view over_rule as select id from writable;
      create materialized view top as select p.id from over_parts p, parts q`)
    expect(await edges()).toEqual(['s.over_parts > s.top'])
  })

  test('leads through functions with a body that Postgres tracks, and operators', async () => {
    await given(`create function total(lower_bound int) returns bigint stable begin atomic
        select count(*) from m where id > lower_bound; end;
      create function twice(int, numeric default 1) returns bigint stable begin atomic select 2 * total($1); end;
      create operator @@@ (rightarg = int, function = total);
      create view v as select twice(1) as n;
      create materialized view a as select n from v;
      create materialized view b as select @@@ 1 as n`)
    expect(await edges()).toEqual([
      'public.m > s.total(integer) > s.twice(integer, numeric) > s.v > s.a',
      'public.m > s.total(integer) > s.b',
    ])
    expect(await opaque()).toEqual([])
  })

  test('names views that call a function that may read anything', async () => {
    await given(`create function hidden(int) returns bigint stable language sql as 'select count(*) from public.m';
      create function loop_over() returns int language plpgsql as 'begin return 1; end';
      create function pure(int) returns int immutable language sql as 'select $1 + 1';
      create function tracked() returns bigint stable begin atomic select s.hidden(1); end;
      create aggregate sum_of(int) (sfunc = int4pl, stype = int);
      create view v as select hidden(1) as n;
      create materialized view a as select n, lower('A') from v;
      create materialized view b as select tracked(), loop_over(), sum_of(1);
      create materialized view c as select pure(1), now(), n from a`)
    expect(await opaque()).toEqual(['s.a: s.hidden(integer)', 's.b: s.hidden(integer)', 's.b: s.loop_over()'])
    expect(await edges()).toEqual(['s.a > s.c'])
  })

  test('does not warn of functions of extensions', async () => {
    await given(`create function joined() returns int stable language sql as 'select 1';
      create materialized view a as select joined()`)
    expect(await opaque()).toEqual(['s.a: s.joined()'])
    await server.query('alter extension plpgsql add function s.joined()')
    expect(await opaque()).toEqual([])
    await server.query('alter extension plpgsql drop function s.joined()')
  })

  test('has the edges of a cycle', async () => {
    await given(`create view v as select 1 as id; create materialized view a as select id from v;
      create materialized view b as select id from a; create or replace view v as select id from b;
      create view w as select 1 as id; create or replace view w as select id from w;
      create materialized view c as select id from w with no data`)
    expect(await edges()).toEqual(['s.b > s.v > s.a', 's.a > s.b'])
  })

  test('follows a view that was dropped and created again, or recreated to read something else', async () => {
    await given(`create materialized view a as select id from m; create view v as select id from a;
      create materialized view b as select id from v`)
    expect(await edges()).toEqual(['public.m > s.a', 's.a > s.v > s.b'])
    await server.query('create or replace view s.v as select id from public.m')
    expect(await edges()).toEqual(['public.m > s.a', 'public.m > s.v > s.b'])
    await server.query('drop materialized view s.a; create materialized view s.a as select id from s.v')
    expect(await edges()).toEqual(['public.m > s.v > s.a', 'public.m > s.v > s.b'])
    await server.query('alter materialized view s.a rename to z; alter view s.v rename to w')
    expect(await edges()).toEqual(['public.m > s.w > s.b', 'public.m > s.w > s.z'])
  })

  test('is the same for a role without any right', async () => {
    await given(`create view v as select id from m; create materialized view a as select id from v with no data;
      revoke all on schema s from public`)
    const role = await server.createRole('stranger')
    expect(await readDependencies(await openDatabase(role))).toEqual(await readDependencies(db))
  })
})

describe('a view of the graph', () => {
  test('is populated or not, and unregistered in a database without tables of ayb', async () => {
    await given('create materialized view empty as select id from m with no data')
    const common = {registered: false}
    expect((await readDependencies(db)).nodes).toEqual([
      {...common, schemaName: 'public', viewName: 'm', populated: true},
      {...common, schemaName: 's', viewName: 'empty', populated: false},
    ])
  })

  test('is registered where it has a registration', async () => {
    const other = await createTestDatabase({hasTables: true})
    await other.query(`create materialized view loose as select 1 as one;
      insert into _ayb_matview_refreshes (view_name) values ('leaderboard')`)
    const {nodes} = await readDependencies(await openDatabase(other))
    expect(nodes.map(({viewName, registered}) => [viewName, registered])).toEqual([
      ['leaderboard', true],
      ['loose', false],
    ])
  })
})
