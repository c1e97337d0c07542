import {beforeAll, describe, expect, test} from 'vitest'
import {tellsChanges} from '../support/changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {untilWaiting} from '../support/lock-waits.ts'
import {createGatedView, runsOf, untilNothingIsLeft, untilRefreshing} from '../support/refresh.ts'
import {
  openSocket,
  type RunningServer,
  startServer,
  stopServers,
  TOKEN,
  untilLogged,
} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import type {LogLine} from '../support/worker.ts'

interface RegistrationDocument {
  id: string
  refreshMode: string
  lastRefreshStatus: string | null
}

const MATVIEWS = '/api/admin/matviews'

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase()
  server = await startServer(db, ['--log-level', 'debug'])
})

async function registerView(viewName: string): Promise<RegistrationDocument> {
  const answer = await server.post(MATVIEWS, {viewName})
  expect(answer.status).toBe(201)
  return answer.json<RegistrationDocument>()
}

describe('registrations', () => {
  test('are none in a database without the tables, and listing makes none', async () => {
    const fresh = await createTestDatabase()
    const own = await startServer(fresh)
    expect((await own.get(MATVIEWS)).json()).toMatchObject({items: [], count: 0, total: 0})
    expect((await own.get('/api/admin/schedules')).json()).toEqual({items: [], count: 0})
    expect((await own.get('/api/admin/jobs')).json()).toEqual({items: [], count: 0})
    expect(await fresh.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
    // Made by somebody else later, they are seen without a restart.
    expect((await server.post(MATVIEWS, {viewName: 'leaderboard'})).status).toBe(201)
    await stopServers([own])
  })

  test('are made, shown, listed, changed and removed', async () => {
    await db.query('create materialized view steps as select 1 as id')
    const answer = await server.post(MATVIEWS, {viewName: 'steps', schema: 'public', refreshMode: 'standard'})
    expect(answer.status).toBe(201)
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
    const made = answer.json<RegistrationDocument>()
    expect(made).toMatchObject({
      schemaName: 'public',
      viewName: 'steps',
      refreshMode: 'standard',
      lastRefreshAt: null,
      lastRefreshDurationMs: null,
      lastRefreshStatus: null,
      lastRefreshError: null,
    })
    expect((await server.get(`${MATVIEWS}/${made.id}`)).json()).toEqual(made)
    expect((await server.get(`${MATVIEWS}/steps`)).json()).toEqual(made)
    expect((await server.get(`${MATVIEWS}/public.steps`)).json()).toEqual(made)
    const list = (await server.get(MATVIEWS)).json<{items: object[]; count: number}>()
    expect(list.count).toBe(list.items.length)
    expect(list.items).toContainEqual(
      expect.objectContaining({...made, exists: true, nextRunAt: null, renamedTo: null}),
    )

    await db.query('create unique index on steps (id)')
    const changed = await server.put(`${MATVIEWS}/${made.id}`, {refreshMode: 'concurrent'})
    expect(changed.status).toBe(200)
    expect(changed.json()).toMatchObject({id: made.id, refreshMode: 'concurrent'})
    const automatic = await server.put(`${MATVIEWS}/${made.id}`, {refreshMode: 'auto'})
    expect(automatic.json()).toMatchObject({refreshMode: 'concurrent', policy: {mode: 'auto'}})

    const removed = await server.delete(`${MATVIEWS}/${made.id}`)
    expect(removed).toMatchObject({status: 204, text: ''})
    expect((await server.get(`${MATVIEWS}/${made.id}`)).status).toBe(404)
  })

  test('of a renamed view tell its new name, and no command line', async () => {
    await db.query('create materialized view before as select 1 as id')
    const {id} = await registerView('before')
    await db.query('alter materialized view before rename to "it is"')
    const {items} = (await server.get(MATVIEWS)).json<{items: object[]}>()
    expect(items).toContainEqual(
      expect.objectContaining({id, exists: false, renamedTo: 'public."it is"', viewName: 'before'}),
    )
    const answer = await server.post(`${MATVIEWS}/${id}/refresh`)
    expect(answer).toMatchObject({status: 404})
    expect(answer.json()).toEqual({
      code: 'VIEW_NOT_FOUND',
      message: 'there is no materialized view public.before: the view was renamed to public."it is"',
      hint: expect.stringContaining(
        String.raw`POST /api/admin/matviews/public.before/relink with {"viewName": "\"it is\""`,
      ),
    })
  })

  test('of one schema are listed by ?schema', async () => {
    await db.query('create schema other; create materialized view other.elsewhere as select 1')
    expect((await server.post(MATVIEWS, {viewName: 'elsewhere', schema: 'other'})).status).toBe(201)
    const {items} = (await server.get(`${MATVIEWS}?schema=other`)).json<{items: object[]}>()
    expect(items).toMatchObject([{schemaName: 'other', viewName: 'elsewhere'}])
  })

  test.each([
    ['a view that is not there', {viewName: 'nothing'}, 404, 'VIEW_NOT_FOUND'],
    ['a table', {viewName: 'users'}, 404, 'VIEW_NOT_FOUND'],
    ['an unsafe name', {viewName: 'x; drop table users'}, 400, 'INVALID_IDENTIFIER'],
    ['an empty name', {viewName: ''}, 400, 'INVALID_IDENTIFIER'],
    ['no name', {}, 400, 'INVALID_ARGUMENT'],
    ['an unknown field', {viewName: 'leaderboard', view: 'x'}, 400, 'INVALID_ARGUMENT'],
    ['another mode', {viewName: 'leaderboard', refreshMode: 'sometimes'}, 400, 'INVALID_ARGUMENT'],
    ['a name that is a number', {viewName: 7}, 400, 'INVALID_ARGUMENT'],
    ['a list', [], 400, 'INVALID_ARGUMENT'],
    ['no JSON', '{"viewName": ', 400, 'INVALID_ARGUMENT'],
  ])('are refused for %s', async (_what, body, status, code) => {
    const answer = await server.post(MATVIEWS, body)
    expect(answer.status).toBe(status)
    expect(answer.json()).toEqual({
      code,
      message: expect.stringMatching(/\S/),
      hint: expect.toSatisfy(isHint),
    })
  })

  test('are made once', async () => {
    await db.query('create materialized view twice as select 1')
    await registerView('twice')
    const answer = await server.post(MATVIEWS, {viewName: 'twice'})
    expect(answer.status).toBe(409)
    expect(answer.json()).toMatchObject({code: 'ALREADY_REGISTERED'})
  })

  test('in concurrent mode need an index, and the hint is the statement', async () => {
    await db.query('create materialized view by_day as select 1 as day')
    const {id} = await registerView('by_day')
    const answer = await server.put(`${MATVIEWS}/${id}`, {refreshMode: 'concurrent'})
    expect(answer.status).toBe(409)
    expect(answer.json()).toMatchObject({
      code: 'UNIQUE_INDEX_REQUIRED',
      hint: expect.stringMatching(/^CREATE UNIQUE INDEX/i),
    })
  })
})

const isHint = (hint: unknown) => hint === null || (typeof hint === 'string' && hint !== '')

describe('discovery', () => {
  test('lists every materialized view, registered or not', async () => {
    const {items, count} = (await server.get(`${MATVIEWS}/discover`)).json<{items: object[]; count: number}>()
    expect(count).toBe(items.length)
    expect(items).toContainEqual(
      expect.objectContaining({
        viewName: 'leaderboard',
        populated: true,
        concurrentReady: expect.any(Boolean),
      }),
    )
  })

  test('names them, registered ones first, and finds names by a part', async () => {
    const other = await createTestDatabase()
    await other.query(`
      create schema "Odd place"; create materialized view "Odd place"."A view" as select 1 as id;
      do $$ begin for n in 1..30 loop execute format('create materialized view many_%s as select 1 as id', n); end loop; end $$`)
    const own = await startServer(other)
    const names = async (query: string) => {
      const answer = await own.get(`${MATVIEWS}/discover/names?${query}`)
      expect(answer.status).toBe(200)
      return answer.json<{items: {viewName: string}[]; count: number; total: number; counts: object}>()
    }
    const counts = {all: 32, registered: 0}
    // Without ayb's tables, nothing is registered.
    expect(await names('search=odd%20PLACE.a')).toEqual({
      items: [{schemaName: 'Odd place', viewName: 'A view', registered: false}],
      ...{count: 1, total: 1, counts},
    })
    expect((await own.post(MATVIEWS, {viewName: 'many_7'})).status).toBe(201)
    const some = await names('search=many&limit=3')
    expect(some).toMatchObject({count: 3, total: 30, counts: {all: 32, registered: 1}})
    expect(some.items.map(({viewName}) => viewName)).toEqual(['many_7', 'many_1', 'many_10'])
    const free = await names('search=many&registered=false&limit=3&offset=27')
    expect(free).toMatchObject({count: 2, total: 29})
    expect(free.items.map(({viewName}) => viewName)).toEqual(['many_8', 'many_9'])
    expect(await names('registered=true')).toMatchObject({count: 1, total: 1})
    expect((await own.get(`${MATVIEWS}/discover/names?limit=0`)).status).toBe(400)

    const shown = await own.get(`${MATVIEWS}/discover/${encodeURIComponent('"Odd place"."A view"')}`)
    expect(shown.json()).toMatchObject({viewName: 'A view', registered: false, concurrentReady: false})
    expect((await own.get(`${MATVIEWS}/discover/many_7`)).json()).toMatchObject({registered: true})
    const missing = await own.get(`${MATVIEWS}/discover/many_x`)
    expect(missing.status).toBe(404)
    expect(missing.json()).toMatchObject({code: 'VIEW_NOT_FOUND'})
    await stopServers([own])
  })
})

describe('a refresh', () => {
  test('answers with the registration as it is then, and leaves a run', async () => {
    await db.query('create materialized view fast as select 1')
    const {id} = await registerView('fast')
    const answer = await server.post(`${MATVIEWS}/${id}/refresh`)
    expect(answer.status).toBe(200)
    expect(answer.json()).toEqual({
      registration: expect.objectContaining({
        id,
        lastRefreshStatus: 'success',
        lastRefreshAt: expect.any(String),
      }),
      durationMs: expect.any(Number),
      warnings: [],
      lockWaitMs: 0,
      status: 'success',
      reason: null,
      checkedAt: null,
    })
    const {items} = (await server.get(`${MATVIEWS}/${id}/history`)).json<{items: object[]}>()
    expect(items).toMatchObject([{viewName: 'fast', trigger: 'manual', status: 'success'}])
    expect((await server.get('/metrics')).text).toContain(
      'ayb_refreshes_total{view="public.fast",status="success"} 1',
    )
  })

  test('is not done where nothing has changed, if that is asked for', {timeout: 30_000}, async ({skip}) => {
    skip(!(await tellsChanges(db)))
    await db.query('create table numbers (n int)')
    await db.query(
      'create materialized view summed as select sum(n) as n from numbers; select pg_stat_force_next_flush()',
    )
    const {id} = await registerView('summed')
    const ask = () => server.post(`${MATVIEWS}/${id}/refresh?ifChanged=true`)
    const first = (await ask()).json<{checkedAt: string}>()
    expect(first).toMatchObject({status: 'success', checkedAt: expect.any(String)})
    // Between the two looks, the view may be refreshed or looked at for others.
    const looks = ({event}: LogLine) => event === 'refresh.looks_unchanged'
    const answers = [ask()]
    await until(() => server.logs().some(looks), {what: 'the first look'})
    answers.push(ask())
    const unchanged = {
      registration: expect.objectContaining({id, lastRefreshStatus: 'success'}),
      durationMs: null,
      warnings: [],
      lockWaitMs: 0,
      status: 'unchanged',
      reason: `unchanged: nothing has changed since ${first.checkedAt}`,
      checkedAt: expect.any(String),
    }
    for (const answer of answers) expect((await answer).json()).toEqual(unchanged)
    expect((await server.get('/metrics')).text).toContain(
      'ayb_refreshes_total{view="public.summed",status="unchanged"} 2',
    )
    await db.query('insert into numbers values (1); select pg_stat_force_next_flush()')
    expect((await ask()).json()).toMatchObject({status: 'success'})
  })

  test('has not begun for a client that leaves while it waits for the second look', {
    timeout: 60_000,
  }, async ({skip}) => {
    skip(!(await tellsChanges(db)))
    await db.query(`create table lines (n int); create materialized view queued as select sum(n) as n from lines;
      select pg_stat_force_next_flush()`)
    const {id} = await registerView('queued')
    const path = `${MATVIEWS}/${id}/refresh?ifChanged=true`
    expect((await server.post(path)).status).toBe(200)
    const socket = await openSocket(server.origin)
    socket.write(
      [
        `POST ${path} HTTP/1.1`,
        `host: ${new URL(server.origin).host}`,
        `authorization: Bearer ${TOKEN}`,
        'content-length: 0\r\n\r\n',
      ].join('\r\n'),
    )
    const ofView = ({view}: LogLine) => view === 'public.queued'
    await untilLogged(server, (line) => ofView(line) && line.event === 'refresh.looks_unchanged', 'a look')
    const keeper = await db.connect()
    await keeper.query(`select pg_advisory_lock(hashtext('public.queued')::bigint)`)
    await untilWaiting(db)
    socket.destroy()
    await until(
      async () =>
        (await db.query(`select from pg_locks where locktype = 'advisory' and not granted`)).length === 0,
      {what: 'the end of the wait'},
    )
    await keeper.query('select pg_advisory_unlock_all()')
    // The log has whatever came before this answer.
    expect((await server.post(`${MATVIEWS}/${id}/refresh`)).status).toBe(200)
    expect(server.logs().filter((line) => ofView(line) && line.event === 'refresh.failed')).toEqual([])
  })

  test('has the settings and limits of the view', async () => {
    await db.query(`create materialized view probe as
      select current_setting('work_mem') as work_mem, pg_sleep(case when current_setting('jit') = 'off' then 5 end)::text`)
    const {id} = await registerView('probe')
    await db.query(`insert into _ayb_matview_policies (schema_name, view_name, settings)
      values ('public', 'probe', '{"work_mem": "66MB"}')`)
    expect((await server.post(`${MATVIEWS}/${id}/refresh`)).json()).toMatchObject({
      registration: {policy: {settings: {work_mem: '66MB'}, refreshTimeoutMs: null}},
    })
    expect(await db.query('select work_mem from probe')).toEqual([{work_mem: '66MB'}])
    expect((await server.get(`${MATVIEWS}/${id}/history`)).json()).toMatchObject({
      items: [{settings: {work_mem: '66MB'}, lockWaitMs: 0}],
    })
    await db.query(`update _ayb_matview_policies set settings = '{"jit": "off"}', refresh_timeout_ms = 100`)
    const answer = await server.post(`${MATVIEWS}/${id}/refresh`)
    expect(answer.status).toBe(504)
    expect(answer.json()).toMatchObject({code: 'TIMEOUT'})
  })

  test('of a view that is being refreshed is refused, and canceled when its client goes away', async () => {
    const gate = await createGatedView(db, 'gated')
    const {id} = (await server.get(`${MATVIEWS}/gated`)).json<RegistrationDocument>()
    await gate.close()
    const gone = new AbortController()
    const lost = fetch(`${server.origin}${MATVIEWS}/${id}/refresh`, {
      method: 'POST',
      headers: {authorization: 'Bearer a-token-for-tests-0123456789'},
      signal: gone.signal,
    }).catch((error: Error) => error.name)
    await untilRefreshing(db, 'gated')
    const answer = await server.post(`${MATVIEWS}/${id}/refresh`)
    expect(answer.status).toBe(409)
    expect(answer.json()).toMatchObject({
      code: 'REFRESH_IN_PROGRESS',
      message: expect.stringMatching(/^refresh already in progress/),
    })
    gone.abort()
    expect(await lost).toBe('AbortError')
    await until(async () => (await runsOf(db, 'gated')).length > 0, {
      what: 'the record',
      timeoutMs: PATIENCE_MS,
    })
    expect(await runsOf(db, 'gated')).toMatchObject([
      {status: 'canceled', error: 'canceled: the client went away'},
    ])
    await gate.open()
    expect((await server.post(`${MATVIEWS}/${id}/refresh`)).status).toBe(200)
  })

  test('beside a reader says in the log whom it waits for', async () => {
    await db.query('create materialized view read_now as select 1 as id')
    const {id} = await registerView('read_now')
    const reader = await db.connect()
    await reader.query(`set application_name = 'nightly report'; begin; select from read_now`)
    const answer = server.post(`${MATVIEWS}/${id}/refresh`)
    const isOfView = ({view}: LogLine) => view === 'public.read_now'
    await untilLogged(server, (line) => isOfView(line) && line.msg.startsWith('waiting for pid'), 'a wait')
    await reader.query('commit')
    expect((await answer).status).toBe(200)
    expect(server.logs().filter(isOfView)).toMatchObject([
      {level: 'info', msg: expect.stringMatching(/^waiting for pid \d+ \(nightly report\) for \d+ s:$/)},
      {level: 'info', msg: 'refreshed'},
    ])
  })

  test('that waits for a table below its view is a timeout, with words for who has no command line', async () => {
    await db.query('create table base (id int); create materialized view over_base as select id from base')
    const {id} = await registerView('over_base')
    const loader = await db.connect()
    await loader.query('begin; lock table base')
    const answer = await server.post(`${MATVIEWS}/${id}/refresh`)
    await loader.query('commit')
    expect(answer.status).toBe(504)
    expect(answer.json()).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('for a lock on public.base, held by pid'),
      // Nothing of the mode: in either mode a refresh waits for the tables below its view.
      hint: 'try again when the lock is free',
    })
  })

  test('that Postgres refuses is answered with its words', async () => {
    await db.query('create table parts (x int); insert into parts values (1)')
    await db.query('create materialized view divided as select 1 / x as y from parts')
    const {id} = await registerView('divided')
    await db.query('update parts set x = 0')
    const answer = await server.post(`${MATVIEWS}/${id}/refresh`)
    expect(answer.status).toBe(500)
    expect(answer.json()).toMatchObject({
      code: 'REFRESH_FAILED',
      message: expect.stringContaining('division by zero'),
    })
    expect((await server.get(`${MATVIEWS}/${id}`)).json()).toMatchObject({lastRefreshStatus: 'error'})
  })

  test('of what is not registered is not found', async () => {
    for (const id of ['550e8400-e29b-41d4-a716-446655440000', 'nothing', 'public.nothing']) {
      const answer = await server.post(`${MATVIEWS}/${id}/refresh`)
      expect(answer.status).toBe(404)
      expect(answer.json()).toMatchObject({code: 'NOT_REGISTERED'})
    }
  })

  test('leaves no session and no lock behind', async () => {
    await stopServers([server])
    await untilNothingIsLeft(db, PATIENCE_MS)
    expect((await server.done).code).toBe(0)
    server = await startServer(db)
  })
})
