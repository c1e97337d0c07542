import {beforeAll, describe, expect, test} from 'vitest'
import {tellsChanges} from '../support/changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {runsOf} from '../support/refresh.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'
import {until} from '../support/until.ts'
import type {LogLine} from '../support/worker.ts'

const MATVIEWS = '/api/admin/matviews'

interface Member {
  registration: {viewName: string}
  status: string
  reason: string | null
  error: {code: string; hint: string | null} | null
}

interface RefreshedSet {
  refreshes: Member[]
  counts: Record<string, number>
}

const tells = await tellsChanges(await createTestDatabase({template: false}))

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase()
  server = await startServer(db, ['--log-level', 'debug'])
  await db.query(`
    create table divisors as select 1 as by;
    create materialized view top as select 1 / by as id from divisors;
    create materialized view middle as select id from top;
    create materialized view bottom as select id from middle;
    create materialized view beside as select 1 as id`)
  return () => stopServers([server])
})

const ended = ({refreshes}: RefreshedSet): [string, string][] =>
  refreshes.map(({registration, status}) => [registration.viewName, status])

const isFirstLook = ({event}: LogLine) => event === 'refresh.looks_unchanged'

describe('sets of views', () => {
  test('are registered all at once, and those that are gone are forgotten', async () => {
    await db.query('create materialized view short_lived as select 1 as id')
    const answer = await server.post(`${MATVIEWS}/register-all`, {schema: 'public', refreshMode: 'auto'})
    expect(answer.status).toBe(200)
    const {registered} = answer.json<{registered: {viewName: string; policy: object}[]}>()
    expect(registered.map(({viewName}) => viewName)).toEqual([
      ...['beside', 'bottom', 'leaderboard', 'middle', 'short_lived', 'top'],
    ])
    expect(registered[0]?.policy).toMatchObject({mode: 'auto'})
    expect((await server.post(`${MATVIEWS}/register-all`, {})).json()).toMatchObject({
      registered: [],
      refused: [],
    })

    await db.query('drop materialized view short_lived')
    const path = `${MATVIEWS}/unregister-missing`
    const gone = {registrations: [expect.objectContaining({viewName: 'short_lived'})]}
    expect((await server.post(path, {dryRun: true})).json()).toMatchObject(gone)
    expect((await server.post(path, {})).json()).toMatchObject(gone)
    expect((await server.post(path, {})).json()).toMatchObject({registrations: []})
  })

  test('are refreshed in order, and a dry run only tells the order', async () => {
    const body = {views: ['top'], cascade: true}
    const plan = await server.post(`${MATVIEWS}/refresh`, {...body, dryRun: true})
    expect(plan.status).toBe(200)
    expect(plan.json<{waves: {registration: {viewName: string}}[][]}>().waves).toMatchObject([
      [{registration: {viewName: 'top'}, parents: []}],
      [{registration: {viewName: 'middle'}, parents: [{viewName: 'top'}]}],
      [{registration: {viewName: 'bottom'}}],
    ])
    expect(await runsOf(db, 'top')).toEqual([])
    const done = await server.post(`${MATVIEWS}/refresh`, body)
    expect(done.status).toBe(200)
    expect(ended(done.json<RefreshedSet>())).toEqual([
      ['top', 'success'],
      ['middle', 'success'],
      ['bottom', 'success'],
    ])
    expect(done.json<RefreshedSet>().counts).toEqual({
      success: 3,
      unchanged: 0,
      error: 0,
      skipped: 0,
      canceled: 0,
    })
    const one = await server.post(`${MATVIEWS}/bottom/refresh?withDependencies=true`)
    expect(ended(one.json<RefreshedSet>())).toHaveLength(3)
  })

  test('skip what reads a view whose refresh failed, with the error in words for HTTP', async () => {
    await db.query('update divisors set by = 0')
    const answer = await server.post(`${MATVIEWS}/refresh`, {all: true})
    expect(answer.status).toBe(200)
    const set = answer.json<RefreshedSet>()
    expect(Object.fromEntries(ended(set))).toEqual({
      ...{beside: 'success', bottom: 'skipped', leaderboard: 'success', middle: 'skipped', top: 'error'},
    })
    const top = set.refreshes.find(({registration}) => registration.viewName === 'top')
    expect(top?.error).toMatchObject({code: 'REFRESH_FAILED', status: 500})
    expect(JSON.stringify(set)).not.toMatch(/--[a-z]|ayb matviews/)
    await db.query('update divisors set by = 1')
  })

  test('are refreshed with settings and limits of their own, after others that hold them', async () => {
    const body = {views: ['top', 'beside'], settings: {work_mem: '65MB'}}
    expect((await server.post(`${MATVIEWS}/refresh`, body)).status).toBe(200)
    const [run] = await db.query(
      `select settings from _ayb_matview_refresh_runs where view_name = 'beside' order by started_at desc limit 1`,
    )
    expect(run).toEqual({settings: {work_mem: '65MB'}})
    const holder = await db.connect()
    await holder.query('begin; select id from top')
    const limited = await server.post(`${MATVIEWS}/refresh`, {views: ['top'], lockTimeoutMs: 50, wait: true})
    expect(limited.json()).toMatchObject({refreshes: [{status: 'error', error: {code: 'TIMEOUT'}}]})
    await holder.query('rollback')
    for (const wrong of [{settings: {search_path: 'x'}}, {refreshTimeoutMs: 0}, {lockTimeoutMs: -1}]) {
      expect((await server.post(`${MATVIEWS}/refresh`, {views: ['top'], ...wrong})).status).toBe(400)
    }
  })

  test.each([
    ['no views', {}],
    ['views and all', {views: ['top'], all: true}],
    ['too many at once', {all: true, concurrency: 17}],
    ['a view that is no name', {views: ['a.b.c']}],
  ])('are refused with %s', async (_what, body) => {
    const answer = await server.post(`${MATVIEWS}/refresh`, body)
    expect(answer.status).toBe(400)
    expect(answer.json().code).toMatch(/^INVALID_/)
  })
})

describe('one view', () => {
  test('has a policy that is set and changed in parts', async () => {
    const skipUnchanged = await tellsChanges(db)
    const changed = await server.put(`${MATVIEWS}/beside`, {
      policy: {maxAgeMs: 3_600_000, skipUnchanged, settings: {WORK_MEM: '64MB', jit: 'off'}},
    })
    expect(changed.status).toBe(200)
    expect(changed.json()).toMatchObject({
      policy: {
        mode: 'auto',
        maxAgeMs: 3_600_000,
        skipUnchanged,
        settings: {jit: 'off', work_mem: '64MB'},
      },
    })
    const again = await server.put(`${MATVIEWS}/beside`, {
      policy: {maxAgeMs: null, settings: {jit: null}, refreshTimeoutMs: 60_000},
    })
    expect(again.json()).toMatchObject({
      policy: {maxAgeMs: null, skipUnchanged, settings: {work_mem: '64MB'}, refreshTimeoutMs: 60_000},
    })
    const {status} = await server.put(`${MATVIEWS}/beside`, {policy: {settings: {search_path: 'x'}}})
    expect(status).toBe(400)
    expect((await server.put(`${MATVIEWS}/beside`, {policy: {maxAgeMs: 0}})).status).toBe(400)
    expect((await server.put(`${MATVIEWS}/beside`, {})).status).toBe(400)
  })

  test('is followed to its new name', async () => {
    await db.query('alter materialized view beside rename to moved')
    const refused = await server.post(`${MATVIEWS}/beside/refresh`)
    expect(refused.json().hint).toContain(
      'POST /api/admin/matviews/public.beside/relink with {"viewName": "moved"',
    )
    const answer = await server.post(`${MATVIEWS}/beside/relink`, {viewName: 'moved'})
    expect(answer.status).toBe(200)
    expect(answer.json()).toMatchObject({
      registration: {viewName: 'moved'},
      previous: {schemaName: 'public', viewName: 'beside'},
      schedules: [],
    })
  })

  test('is refreshed in another mode for once', async () => {
    await db.query('create unique index on moved (id)')
    expect((await server.post(`${MATVIEWS}/moved/refresh?mode=standard`)).status).toBe(200)
    expect((await runsOf(db, 'moved'))[0]).toMatchObject({refresh_mode: 'standard'})
    expect((await server.post(`${MATVIEWS}/moved/refresh?mode=sometimes`)).status).toBe(400)
  })
})

test('old jobs are counted and pruned', async () => {
  await db.query(`insert into _ayb_jobs (type, payload, state, completed_at, updated_at, created_at)
    select 'materialized_view_refresh', '{"view_name": "top"}', 'completed', at, at, at
      from (values (now() - interval '3 days'), (now())) v(at)`)
  const body = {olderThanMs: 86_400_000}
  expect((await server.post('/api/admin/jobs/prune', {...body, dryRun: true})).json()).toMatchObject({
    deleted: 1,
  })
  expect((await server.post('/api/admin/jobs/prune', body)).json()).toMatchObject({deleted: 1, warnings: []})
  expect((await server.get('/api/admin/jobs?view=top')).json()).toMatchObject({count: 1})
  expect((await server.get('/api/admin/jobs?view=middle')).json()).toMatchObject({count: 0})
})

test.runIf(tells)(
  'sets leave places and sessions to others between the two looks',
  {timeout: 90_000},
  async () => {
    // The counters of what was written are there at once: counters that come late look like a change.
    await db.query(`
    create table still as select 1 as id;
    create materialized view reads_still as select id from still;
    select pg_stat_force_next_flush()`)
    expect((await server.post(MATVIEWS, {viewName: 'reads_still'})).status).toBe(201)
    const path = `${MATVIEWS}/refresh`
    const wish = {views: ['reads_still'], concurrency: 1, ifChanged: true, wait: true}
    expect((await server.post(path, wish)).json<RefreshedSet>()).toMatchObject({counts: {success: 1}})
    let answered = 0
    const resting = Array.from({length: 16}, () =>
      server.post(path, wish).finally(() => {
        answered++
      }),
    )
    await until(() => server.logs().filter(isFirstLook).length === 16, {what: 'the first looks'})
    expect((await server.post(`${MATVIEWS}/top/refresh`)).status).toBe(200)
    const other = {views: ['leaderboard'], concurrency: 16, wait: true}
    await until(async () => (await server.post(path, other)).status === 200, {
      what: 'places for another set',
      timeoutMs: 8000,
    })
    const holder = await db.connect()
    await holder.query('begin; select id from leaderboard')
    const otherAnswer = server.post(path, other)
    expect(answered).toBe(0)

    // This refresh needs no place, and looks again after those sets would.
    const refreshed = await server.post(`${MATVIEWS}/reads_still/refresh?ifChanged=true`)
    expect(refreshed.json()).toMatchObject({status: 'unchanged'})
    expect(answered).toBe(0)
    await holder.query('rollback')
    expect((await otherAnswer).json()).toMatchObject({counts: {success: 1}})
    for (const answer of resting) expect((await answer).json()).toMatchObject({counts: {unchanged: 1}})
  },
)

test.runIf(tells)('a set that rests when the server is stopped ends with its views canceled', async () => {
  const own = await startServer(db, ['--log-level', 'debug', '--shutdown-timeout', '0s'])
  const answer = own.post(`${MATVIEWS}/refresh`, {views: ['reads_still'], ifChanged: true})
  await until(() => own.logs().some(isFirstLook), {what: 'the first look'})
  own.kill()
  expect((await answer).json()).toMatchObject({counts: {canceled: 1, error: 0}})
  expect((await own.done).code).toBe(0)
})
