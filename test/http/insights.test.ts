import {beforeAll, describe, expect, test} from 'vitest'
import {tellsChanges} from '../support/changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'

const ADMIN = '/api/admin'
const READ_TOKEN = 'a-token-that-only-reads-0123456789'
const PAGE_ORIGIN = 'https://app.example.com'

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query(`
    create schema shop;
    create materialized view shop.daily_revenue as select 1 as day;
    create unique index on shop.daily_revenue (day);
    create materialized view shop.weekly_revenue as select day / 7 as week, now() as at from shop.daily_revenue;
    create materialized view shop.broken as select 1 as id;
    insert into _ayb_matview_refreshes (schema_name, view_name, refresh_mode, last_refresh_at, last_refresh_status,
                                        last_refresh_duration_ms, last_refresh_error)
    values ('shop', 'daily_revenue', 'standard', now() - interval '1 hour', 'success', 40, null),
           ('shop', 'weekly_revenue', 'standard', now() - interval '2 hours', 'success', 900, null),
           ('shop', 'broken', 'standard', now(), 'error', null, 'division by zero'),
           ('public', 'leaderboard', 'standard', null, null, null, null);
    insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
    select 'shop', v.name, 'standard', 'manual', now() - interval '3 hours' + n * interval '10 min', 100 + n,
           case when v.name = 'broken' then 'error' else 'success' end
      from (values ('daily_revenue'), ('weekly_revenue'), ('broken')) v(name), generate_series(1, 12) n;
    insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
    values ('shop', 'broken', 'standard', 'manual', now() - interval '5 hours', 90, 'success')`)
  server = await startServer(db, ['--cors-origin', PAGE_ORIGIN], {env: {AYB_READ_TOKEN: READ_TOKEN}})
  return () => stopServers([server])
})

interface Listed {
  items: {viewName: string; id: string; state: string}[]
  count: number
  total: number
  counts: Record<string, number>
}

const list = async (query: string): Promise<Listed> =>
  (await server.get(`${ADMIN}/matviews?${query}`)).json<Listed>()

const names = ({items}: Listed) => items.map(({viewName}) => viewName)

describe('the list of views', () => {
  test('is searched, filtered, sorted and paged by the server, with counts of all states', async () => {
    const all = await list('')
    expect(names(all)).toEqual(['leaderboard', 'broken', 'daily_revenue', 'weekly_revenue'])
    expect(all).toMatchObject({count: 4, total: 4, counts: {all: 4, never: 1, failing: 1, running: 0}})
    expect(names(await list('search=REVENUE'))).toEqual(['daily_revenue', 'weekly_revenue'])
    expect(names(await list('search=shop.d'))).toEqual(['daily_revenue'])
    expect(names(await list('state=failing,never&sort=urgency'))).toEqual(['leaderboard', 'broken'])
    expect(names(await list('running=true'))).toEqual([])
    const page = await list('sort=duration&limit=1&offset=1&schema=shop')
    expect(page).toMatchObject({count: 1, total: 3, counts: {all: 3}})
    const sorted = await list('sort=urgency')
    expect(names(sorted).slice(0, 2)).toEqual(['leaderboard', 'broken'])
    const refused = await server.get(`${ADMIN}/matviews?state=odd`)
    expect(refused.json()).toMatchObject({code: 'INVALID_ARGUMENT'})
  })

  test('gets the newest runs of all its views with one request', async () => {
    const {items} = await list('schema=shop')
    const ids = items.map(({id}) => id).join()
    const answer = await server.get(`${ADMIN}/matviews/runs?ids=${ids}&limit=5`)
    expect(answer.status).toBe(200)
    const runs = answer.json<{items: {id: string; runs: {durationMs: number; status: string}[]}[]}>().items
    expect(new Set(runs.map(({id}) => id))).toEqual(new Set(items.map(({id}) => id)))
    for (const each of runs) {
      expect(each.runs.map(({durationMs}) => durationMs)).toEqual([112, 111, 110, 109, 108])
    }
    expect((await server.get(`${ADMIN}/matviews/runs?ids=x`)).status).toBe(400)
  })
})

describe('what is known of a view', () => {
  test('is its freshness, its schedules, its runs, its query, its indexes and why it is never skipped', async () => {
    const why = (await tellsChanges(db)) ? 'now' : 'before 15'
    const details = await server.get(`${ADMIN}/matviews/shop.weekly_revenue/details`)
    expect(details.status).toBe(200)
    expect(details.json()).toMatchObject({
      registration: {viewName: 'weekly_revenue', state: 'stale', running: null},
      view: {
        populated: true,
        concurrentReady: false,
        concurrentBlockers: [{code: 'UNIQUE_INDEX_REQUIRED'}],
        skippable: false,
        skipBlockers: [{code: expect.any(String), message: expect.stringContaining(why)}],
        parents: ['shop.daily_revenue'],
        children: [],
      },
      schedules: [],
      recentRuns: {length: 10},
    })
    const definition = (await server.get(`${ADMIN}/matviews/shop.daily_revenue/definition`)).json()
    expect(definition).toMatchObject({
      definition: expect.stringContaining('1 AS day'),
      indexes: [{name: 'daily_revenue_day_idx', unique: true, valid: true, scans: 0}],
    })
  })

  test('has no query while a refresh holds the view, and does not wait for it', async () => {
    const session = await db.connect()
    await session.query('begin; refresh materialized view shop.daily_revenue')
    const answer = await server.get(`${ADMIN}/matviews/shop.daily_revenue/definition`)
    expect(answer.json()).toMatchObject({definition: null, indexes: [{unique: true, definition: null}]})
    await session.query('rollback')
  })

  test('is told for all views by how fresh they are, with their graph, and with what is wrong', async () => {
    const status = await server.get(`${ADMIN}/matviews/status?state=failing`)
    expect(status.json()).toMatchObject({count: 1, items: [{viewName: 'broken', consecutiveFailures: 12}]})
    const graph = await server.get(`${ADMIN}/matviews/graph?view=shop.daily_revenue`)
    expect(graph.json()).toMatchObject({
      nodes: [{viewName: 'daily_revenue'}, {viewName: 'weekly_revenue'}],
      edges: [{parent: {viewName: 'daily_revenue'}, child: {viewName: 'weekly_revenue'}}],
    })
    await db.query(`insert into _ayb_matview_refreshes (schema_name, view_name) values ('shop', 'gone')`)
    const doctor = (await server.get(`${ADMIN}/doctor`)).json<{
      findings: {check: string; fix: {command: string | null}}[]
      checkedViews: number
    }>()
    expect(doctor.checkedViews).toBeGreaterThan(3)
    expect(doctor.findings).toContainEqual(
      expect.objectContaining({
        viewName: 'gone',
        fix: {sql: null, command: `DELETE ${ADMIN}/matviews/shop.gone`},
      }),
    )
    expect(JSON.stringify(doctor.findings)).not.toMatch(/ayb matviews|--mode/)
    await db.query(`delete from _ayb_matview_refreshes where view_name = 'gone'`)
  })
})

describe('a token that only reads', () => {
  const token = READ_TOKEN
  const asReader = {token: null, headers: {authorization: `Bearer ${token}`}}

  test('reads everything and changes nothing', async () => {
    expect((await server.get(`${ADMIN}/server`, asReader)).json()).toMatchObject({
      access: 'read',
      database: expect.any(String),
      version: expect.stringMatching(/^\d/),
      workers: 0,
    })
    expect((await server.get(`${ADMIN}/server`)).json()).toMatchObject({access: 'admin'})
    expect((await server.get(`${ADMIN}/matviews`, asReader)).status).toBe(200)
    expect((await server.get('/api/collections/shop.daily_revenue', asReader)).status).toBe(200)
    for (const [method, path] of [
      ['POST', `${ADMIN}/matviews/leaderboard/refresh`],
      ['DELETE', `${ADMIN}/matviews/leaderboard`],
      ['PUT', `${ADMIN}/matviews/leaderboard`],
    ] as const) {
      const answer = await server.ask(method, path, asReader)
      expect(answer.status, `${method} ${path}`).toBe(403)
      expect(answer.json()).toMatchObject({code: 'READ_ONLY_TOKEN', message: 'the token may only read'})
    }
    expect((await list('')).count).toBe(4)
  })
})

describe('another website', () => {
  const path = '/api/collections/shop.daily_revenue'
  const preflight = (origin: string) =>
    server.ask('OPTIONS', path, {
      token: null,
      headers: {
        origin,
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'authorization',
      },
    })

  test('may have its pages read views where the server names it, and nothing else', async () => {
    const allowed = await preflight(PAGE_ORIGIN)
    expect(allowed.status).toBe(204)
    expect(allowed.headers).toMatchObject({
      'access-control-allow-origin': PAGE_ORIGIN,
      'access-control-allow-methods': 'GET, HEAD',
      'access-control-allow-headers': expect.stringContaining('authorization'),
      vary: 'Origin',
    })
    const read = await server.get(path, {headers: {origin: PAGE_ORIGIN}})
    expect(read.status).toBe(200)
    expect(read.headers['access-control-allow-origin']).toBe(PAGE_ORIGIN)
    // An error, too, is to be read by the page that made the request.
    const refused = await server.get(path, {token: null, headers: {origin: PAGE_ORIGIN}})
    expect(refused.status).toBe(401)
    expect(refused.headers['access-control-allow-origin']).toBe(PAGE_ORIGIN)

    const other = await preflight('https://evil.example')
    expect(other.headers['access-control-allow-origin']).toBeUndefined()
    expect(other.headers['access-control-allow-methods']).toBeUndefined()
    const admin = await server.get(`${ADMIN}/matviews`, {headers: {origin: PAGE_ORIGIN}})
    expect(admin.headers['access-control-allow-origin']).toBeUndefined()
  })
})
