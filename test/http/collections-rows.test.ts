import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import type {Database} from '../../src/db/database.ts'
import type {RawQuery} from '../../src/lib/collection-query.ts'
import {openAs, readOf, refusalOf, textOf} from '../support/collections.ts'
import {createTestDatabase, type TestDatabase, until} from '../support/database.ts'

let server: TestDatabase
let db: Database

const read = (view: string, query: RawQuery = {}, on = db) => readOf(on, view, query)
const refusal = (view: string, query: RawQuery = {}, on = db) => refusalOf(on, view, query)

beforeAll(async () => {
  server = await createTestDatabase()
  await server.query(`create schema app`)
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
           n = 1 as first, '\\xff00'::bytea as bytes, 'Infinity'::float8 as endless
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
        '"relation":"pg_class","first":false,"bytes":"\\\\xff00","endless":"Infinity"}],' +
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
    [{relation: 'pg_class'}, [1, 2, 3]],
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
    [{id: 'x'}, /"id": the column "id" is of type integer, and does not take "x"/],
    [{id: ''}, /is of type integer/],
    [{'id[gte]': '99999999999'}, /"id\[gte\]": the column "id" is of type integer, and does not take/],
    [{minutes: 'x'}, /"minutes" is of type integer/],
    [{'day[lt]': '2026-02-30'}, /"day" is of type date/],
    [{'day[lt]': 'soon'}, /"day" is of type date/],
    [{at: '294300-01-01'}, /"at" is of type timestamp with time zone/],
    [{first: 'maybe'}, /"first" is of type boolean/],
    [{list: '1,2'}, /"list" is of type integer\[\]/],
    [{note: 'a\u0000b'}, /"note" is of type text/],
    [{bytes: '\\xZZ'}, /"bytes" is of type bytea/],
    [{relation: 'nowhere.nothing'}, /"relation" is of type regclass/],
    [{mood: 'HAPPY'}, /"mood" is of type app.mood, and does not take "HAPPY"/],
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
    expect(error.hint).toBe('see which there are with: ayb matviews discover')
  })

  test('is a view that was never populated', async () => {
    await server.query('create materialized view empty as select 1 as x with no data')
    expect(await refusal('empty')).toMatchObject({
      code: 'NOT_POPULATED',
      status: 409,
      hint: 'ayb matviews refresh public.empty',
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
