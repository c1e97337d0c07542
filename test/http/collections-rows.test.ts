import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import type {Reader} from '../../src/db/reader.ts'
import type {RawQuery} from '../../src/lib/collection-query.ts'
import {openAs, readOf, refusalOf, textOf} from '../support/collections.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {until} from '../support/until.ts'

let server: TestDatabase
let db: Reader

const read = (view: string, query: RawQuery = {}, on = db) => readOf(on, view, query)
const refusal = (view: string, query: RawQuery = {}, on = db) => refusalOf(on, view, query)

beforeAll(async () => {
  server = await createTestDatabase()
  await server.query('create schema app; create schema ext')
  await server.query('create extension citext schema ext; create extension hstore schema ext')
  await server.query(`create type app.mood as enum ('sad', 'ok', 'happy')`)
  await server.query(`create domain app.minutes as int check (value >= 0)`)
  await server.query(`create type app.pair as (a int, b text)`)
  await server.query(`
    create materialized view app.kinds as
    select n as id, n::text as page, n * 10 as "weekly ""x""", n as "a[0]",
           (array['sad', 'ok', 'happy'])[n]::app.mood as mood, n::app.minutes as minutes,
           9007199254740993 + n as big, 12345678901234567890.123456789 as exact, 0.1::float8 as part,
           timestamptz '2026-03-01 12:00:00.123456+02' as at, date '2026-03-01' + n as day,
           interval '1 day 2 hours' as lasting, '{"b": 1,  "a": [1]}'::json as raw, array[n, n + 1] as list,
           point(1, 2) as place, row(n, null)::app.pair as pair, row(null, null)::app.pair as nothing,
           case n when 2 then null else 'x"\\' || n end as note, 'pg_class'::regclass as relation,
           n = 1 as first, '\\xff00'::bytea as bytes, 'Infinity'::float8 as endless, n as p,
           array['pg_class'::regclass] as relations, array[array['sad', null]]::app.mood[] as moods,
           array[n]::app.minutes[] as times, (array['Ann', 'bob', 'CAT'])[n]::ext.citext as who,
           array['a,b', '"']::ext.citext[] as whos, ('x=>' || n)::ext.hstore as tags
      from generate_series(1, 3) n`)
  db = await openAs(server.url)
})

afterAll(async () => {
  await db.close()
})

describe('a page', () => {
  test('has the rows, and says how many there are', async () => {
    const {items, ...rest} = await read('leaderboard', {sort: '-total_minutes,name', perPage: '2', page: '2'})
    expect(rest).toEqual({page: 2, perPage: 2, totalItems: 50, totalPages: 25})
    const rows = await server.query<{row: unknown}>(
      `select row_to_json(v) as row from leaderboard v order by total_minutes desc, name limit 2 offset 2`,
    )
    expect(items).toEqual(rows.map(({row}) => row))
  })

  test('behind the last has none', async () => {
    expect(await read('leaderboard', {page: '300239975158033'})).toEqual({
      items: [],
      page: 300239975158033,
      perPage: 30,
      totalItems: 50,
      totalPages: 2,
    })
  })

  test('has every type as exact as Postgres writes it, in UTC, whatever the role has set', async () => {
    const role = await server.createRole('odd', {
      attributes: 'superuser',
      settings: {
        timezone: 'America/New_York',
        datestyle: 'SQL, DMY',
        intervalstyle: 'sql_standard',
        extra_float_digits: '-15',
        bytea_output: 'escape',
      },
    })
    const odd = await openAs(role.url)
    const text = await textOf(odd, 'app.kinds', {'id[eq]': '2', 'day[gte]': '2026-03-02'})
    await odd.close()
    expect(text).toBe(
      '{"items":[{"id":2,"page":"2","weekly \\"x\\"":20,"a[0]":2,"mood":"ok","minutes":2,' +
        '"big":9007199254740995,"exact":12345678901234567890.123456789,"part":0.1,' +
        '"at":"2026-03-01T10:00:00.123456+00:00","day":"2026-03-03","lasting":"P1DT2H",' +
        '"raw":{"b": 1,  "a": [1]},"list":[2,3],"place":"(1,2)","pair":"(2,)","nothing":"(,)","note":null,' +
        '"relation":"pg_class","first":false,"bytes":"\\\\xff00","endless":"Infinity","p":2,' +
        '"relations":["pg_class"],"moods":[["sad",null]],"times":[2],"who":"bob","whos":["a,b","\\""],"tags":"\\"x\\"=>\\"2\\""}],' +
        '"page":1,"perPage":30,"totalItems":1,"totalPages":1}',
    )
  })

  test('has only the fields asked for, in that order', async () => {
    const text = await textOf(db, 'app.kinds', {fields: '"weekly ""x""",page,mood', perPage: '1'})
    expect(text).toContain('"items":[{"weekly \\"x\\"":10,"page":"1","mood":"sad"}]')
  })

  test.each<[RawQuery, number[]]>([
    [{mood: 'happy'}, [3]],
    [{'mood[ne]': 'happy'}, [1, 2]],
    [{minutes: '2'}, [2]],
    [{'minutes[gt]': '-5', 'minutes[lte]': '2'}, [1, 2]],
    [{'page[eq]': '3'}, [3]],
    [{'weekly "x"[lt]': '20'}, [1]],
    [{'a[0][eq]': '2'}, [2]],
    [{big: '9007199254740994'}, [1]],
    [{'at[gte]': '2026-03-01T10:00:00.123456Z'}, [1, 2, 3]],
    [{'at[gt]': '2026-03-01T12:00:00.123456+02:00'}, []],
    [{'day[lt]': '2026-03-03'}, [1]],
    [{list: '{2,3}'}, [2]],
    [{'note[null]': 'true'}, [2]],
    [{'note[null]': 'false'}, [1, 3]],
    [{'nothing[null]': 'true'}, []],
    [{'pair[null]': 'false'}, [1, 2, 3]],
    [{note: 'x"\\1'}, [1]],
    [{note: ''}, []],
    [{first: 'true'}, [1]],
    [{'relation[null]': 'false'}, [1, 2, 3]],
    [{p: '2'}, [2]],
    [{'p[gt]': '1', fields: 'id,p', sort: '-p'}, [3, 2]],
    [{who: 'ANN'}, [1]],
    [{'who[ne]': 'ann'}, [2, 3]],
    [{'who[gte]': 'Bob', 'who[lt]': 'cat'}, [2]],
    [{sort: '-who'}, [3, 2, 1]],
    [{tags: '"x"=>"2"'}, [2]],
    [{sort: '-tags'}, [3, 2, 1]],
    [{'moods[null]': 'false'}, [1, 2, 3]],
    [{sort: '-mood'}, [3, 2, 1]],
    [{sort: '-minutes'}, [3, 2, 1]],
    [{sort: 'note'}, [1, 3, 2]],
    [{sort: 'first,-id'}, [3, 2, 1]],
  ])('of %j has the rows %j', async (query, ids) => {
    const {items, totalItems} = await read('app.kinds', query)
    expect(items.map(({id}) => id)).toEqual(ids)
    expect(totalItems).toBe(ids.length)
  })
})

describe('a parameter is refused', () => {
  const INJECTIONS = [
    "'; drop table users; --",
    '" from users; --',
    'id) or (1=1',
    'id desc; select 1',
    '$1',
    'ctid',
  ]

  test.each(INJECTIONS)('that is no column: %s', async (text) => {
    for (const query of [{[text]: '1'}, {[`${text}[gte]`]: '1'}, {sort: `"${text.replaceAll('"', '""')}"`}]) {
      expect(await refusal('leaderboard', query)).toMatchObject({code: 'INVALID_ARGUMENT', status: 400})
    }
    const fields = `id,"${text.replaceAll('"', '""')}"`
    expect(await refusal('leaderboard', {fields})).toMatchObject({code: 'INVALID_ARGUMENT'})
    // As a value it is a value.
    expect(await read('leaderboard', {name: text})).toMatchObject({totalItems: 0})
    expect(await server.query('select from users')).toHaveLength(50)
  })

  test.each<[RawQuery, RegExp]>([
    [{perpage: '5'}, /unknown parameter: "perpage"; did you mean "perPage"\?/],
    [{total_minute: '5'}, /unknown parameter: "total_minute"; did you mean "total_minutes"\?/],
    [{'total_minute[gte]': '5'}, /unknown column in "total_minute\[gte\]": "total_minute"; did you/],
    [{sort: '-total_minute'}, /unknown column in "sort": "total_minute"; did you mean "total_minutes"\?/],
    [{fields: 'id,nam'}, /unknown column in "fields": "nam"; did you mean "name"\?/],
    [{sort: 'tableoid'}, /unknown column in "sort": "tableoid"/],
  ])('that names no column, with the nearest: %j', async (query, message) => {
    const error = await refusal('leaderboard', query)
    expect(error).toMatchObject({code: 'INVALID_ARGUMENT', hint: expect.stringContaining('total_minutes')})
    expect(error.message).toMatch(message)
  })

  test.each<[RawQuery, RegExp]>([
    [{id: 'x'}, /"id": the column "id" is of type integer, which does not take "x"/],
    [{id: ''}, /is of type integer/],
    [{'id[gte]': '99999999999'}, /"id\[gte\]": the column "id" is of type integer, which does not take/],
    [{minutes: 'x'}, /"minutes" is of type integer/],
    [{'day[lt]': '2026-02-30'}, /"day" is of type date/],
    [{'day[lt]': 'soon'}, /"day" is of type date/],
    [{at: '294300-01-01'}, /"at" is of type timestamp with time zone/],
    [{first: 'maybe'}, /"first" is of type boolean/],
    [{list: '1,2'}, /"list" is of type integer\[\]/],
    [{note: 'a\u0000b'}, /"note" is of type text/],
    [{bytes: '\\xZZ'}, /"bytes" is of type bytea/],
    [{relation: 'pg_class'}, /regclass, which names objects of the database/],
    [{'relations[eq]': '{pg_class}'}, /regclass\[\], which names objects of the database/],
    [{list: '{{{{{{{1}}}}}}}'}, /"list" is of type integer\[\]/],
    [{tags: 'x'}, /"tags" is of type ext.hstore, which does not take "x"/],
    [{moods: '{sad}'}, /app.mood\[\], which can only be filtered by \[null\]/],
    [{sort: 'whos'}, /ext.citext\[\], which has no order/],
    [{mood: 'HAPPY'}, /"mood" is of type app.mood, which does not take "HAPPY"/],
    [{'mood[gt]': 'sad'}, /app.mood, which can be filtered by \[eq\], \[ne\] and \[null\] only/],
    [{pair: '(1,)'}, /app.pair, which can only be filtered by \[null\]/],
    [{place: '(1,2)'}, /point, which has no values that can be compared/],
    [{raw: '{}'}, /json, which has no values/],
    [{sort: 'raw'}, /"raw" is of type json, which has no order/],
    [{sort: 'id,pair'}, /"pair" is of type app.pair, which has no order/],
  ])('that the type of the column does not take, by name: %j', async (query, message) => {
    const error = await refusal('app.kinds', query)
    expect(error).toMatchObject({code: 'INVALID_ARGUMENT', status: 400, hint: expect.any(String)})
    expect(error.message).toMatch(message)
    expect(await read('app.kinds')).toMatchObject({totalItems: 3})
  })
})

describe('what is no collection', () => {
  test.each([
    'users',
    'users_id_seq',
    'plain',
    'pg_catalog.pg_class',
    '_ayb_jobs',
    'nothing',
    'nowhere.x',
    'leaderboards',
  ])('is not found, and nothing is told of it: %s', async (name) => {
    await server.query('create or replace view plain as select 1 as x')
    const error = await refusal(name)
    expect(error).toMatchObject({code: 'VIEW_NOT_FOUND', status: 404})
    expect(error.message).toBe(
      `there is no materialized view ${name.includes('.') ? name : `public.${name}`}`,
    )
    expect(error.remedy).toEqual({kind: 'discover-views'})
  })

  test('is a view that was never populated', async () => {
    await server.query('create materialized view empty as select 1 as x with no data')
    expect(await refusal('empty')).toMatchObject({
      code: 'NOT_POPULATED',
      status: 409,
      remedy: {kind: 'refresh-view', view: {viewName: 'empty'}},
    })
  })

  test('is a view that the role may not read, with the GRANT that helps', async () => {
    const role = await server.createRole('reader')
    const reader = await openAs(role.url)
    const denied = await refusal('leaderboard', {}, reader)
    expect(denied).toMatchObject({code: 'PERMISSION_DENIED', status: 403})
    expect(denied.hint).toBe(`GRANT SELECT ON public.leaderboard TO ${role.name};`)
    await server.query(denied.hint as string)
    expect(await read('leaderboard', {}, reader)).toMatchObject({totalItems: 50})

    await server.query(`grant select on app.kinds to ${role.name}`)
    const outside = await refusal('app.kinds', {}, reader)
    expect(outside).toMatchObject({code: 'PERMISSION_DENIED', status: 403})
    expect(outside.hint).toBe(`GRANT USAGE ON SCHEMA app TO ${role.name};`)
    await server.query(outside.hint as string)
    expect(await read('app.kinds', {}, reader)).toMatchObject({totalItems: 3})
    await reader.close()
  })
})

describe('of columns that are granted', () => {
  let reader: Reader

  beforeAll(async () => {
    const role = await server.createRole('some')
    await server.query(`
      create materialized view parted as
      select n % 3 as team, json_build_object('n', n % 2) as data, 'x' as secret from generate_series(1, 12) n;
      grant select (team, data) on parted to ${role.name}`)
    reader = await openAs(role.url)
    return () => reader.close()
  })

  test('only these can be read, filtered and sorted by', async () => {
    const query = {fields: 'team,data', sort: '-team', 'team[gt]': '0', 'data[null]': 'false'}
    const {items, totalItems} = await read('parted', query, reader)
    expect(totalItems).toBe(8)
    expect(items[0]).toEqual({team: 2, data: {n: 0}})
    for (const refused of [
      {},
      {fields: 'secret'},
      {fields: 'team', secret: 'x'},
      {fields: 'team', sort: 'secret'},
    ] as RawQuery[]) {
      const error = await refusal('parted', refused, reader)
      expect(error).toMatchObject({code: 'PERMISSION_DENIED', status: 403})
      expect(error.message).toContain('this role may not read secret of public.parted')
      expect(error.hint).toMatch(/fields=team,data, or: GRANT SELECT ON public.parted TO /)
    }
    const unknown = await refusal('parted', {fields: 'secrets'}, reader)
    expect(unknown).toMatchObject({code: 'INVALID_ARGUMENT', hint: 'the columns are: team, data'})
  })

  test('pages have each row once', async () => {
    const rows: unknown[] = []
    for (let page = 1; page <= 4; page += 1) {
      const query = {fields: 'team,data', sort: 'team', perPage: '3', page: String(page)}
      rows.push(...(await read('parted', query, reader)).items)
    }
    const all = await server.query<{row: unknown}>(
      'select json_build_object($1::text, team, $2::text, data) as row from parted order by team, data::text',
      ['team', 'data'],
    )
    expect(rows).toEqual(all.map(({row}) => row))
  })
})

test('a value that a type of Postgres does not take is refused as such, whatever the type', async () => {
  const types = await server.query<{name: string; type: string}>(
    `select 'c' || row_number() over (order by t.oid) as name, format_type(t.oid, null) as type
       from pg_type t
      where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype in ('b', 'r', 'm')
        and (t.typcategory <> 'A' or t.typname in ('_int4', '_text', '_jsonb', '_timestamptz', '_int4range'))
        and t.typname !~ '^pg_'`,
  )
  const columns = types.map(({name, type}) => `null::${type} as ${name}`)
  await server.query(`create materialized view every_type as select ${columns.join(', ')}`)
  const values = ['{{{{{{{1}}}}}}}', '[1:2147483647]={}', '['.repeat(20_000)]
  const outcomes = new Set<string>()
  for (const value of values) {
    for (const {name} of types) {
      const outcome = await read('every_type', {fields: 'c1', [name]: value}).then(
        () => 'read',
        (error) => error.code,
      )
      outcomes.add(outcome === 'INTERNAL' ? `${name} ${value.slice(0, 20)}` : outcome)
    }
  }
  expect(outcomes).toEqual(new Set(['read', 'INVALID_ARGUMENT']))
}, 120_000)

describe('while somebody changes the view', () => {
  /** Reads while another transaction, which had locked the view first, commits. */
  async function readDuring(change: string, query: RawQuery): Promise<unknown> {
    await server.query('drop materialized view if exists moving, other')
    await server.query(
      'create materialized view moving as select n as id, n as old from generate_series(1, 3) n',
    )
    const changer = await server.connect()
    await changer.query(`begin; ${change}`)
    const reading = textOf(db, 'moving', query).catch((error) => error)
    await until(
      async () =>
        (await server.query(`select from pg_locks where not granted and pid = $1`, [db.session.pid])).length >
        0,
      {what: 'the reader to wait'},
    )
    await changer.query('commit')
    return reading
  }

  test('a drop is not found', async () => {
    expect(await readDuring('drop materialized view moving', {})).toMatchObject({code: 'VIEW_NOT_FOUND'})
  })

  test('a rename is not found', async () => {
    const change = 'alter materialized view moving rename to other'
    expect(await readDuring(change, {})).toMatchObject({code: 'VIEW_NOT_FOUND'})
  })

  test('a table in its place is not found', async () => {
    const change = 'drop materialized view moving; create table moving (id int)'
    expect(await readDuring(change, {})).toMatchObject({code: 'VIEW_NOT_FOUND'})
    await server.query('drop table moving')
  })

  test('a refresh without data is not populated', async () => {
    const change = 'refresh materialized view moving with no data'
    expect(await readDuring(change, {})).toMatchObject({code: 'NOT_POPULATED'})
  })

  test('a view of other columns in its place is read with those', async () => {
    const change = `drop materialized view moving;
      create materialized view moving as select 'x'::text as id, 7 as new`
    expect(await readDuring(change, {old: '1'})).toMatchObject({code: 'INVALID_ARGUMENT'})
    expect(await readDuring(change, {})).toContain('"items":[{"id":"x","new":7}]')
  })

  test('a refresh that holds it too long is a timeout that says so', async () => {
    const holder = await server.connect()
    await holder.query('begin; refresh materialized view leaderboard')
    const error = await refusalOf(db, 'leaderboard', {}, {limits: {timeoutMs: 30_000, lockTimeoutMs: 50}})
    expect(error).toMatchObject({code: 'TIMEOUT', status: 504, details: {timeout: 'lock', timeoutMs: 50}})
    expect(error.hint).toContain('concurrent mode')
    await holder.query('rollback')
    expect(await read('leaderboard')).toMatchObject({totalItems: 50})
  })
})
