import {beforeAll, describe, expect, test} from 'vitest'
import type {Job} from '../../src/lib/records/jobs.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob} from '../support/jobs.ts'
import {insertSchedule, pretendWorker} from '../support/schedules.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'
import {createViewSet} from '../support/view-sets.ts'

const JOBS = '/api/admin/jobs'
const UNKNOWN = '550e8400-e29b-41d4-a716-446655440000'

interface List {
  items: {id: string; state: string}[]
  count: number
}

let db: TestDatabase
let server: RunningServer
const ids: Record<string, string> = {}

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  server = await startServer(db)
  for (const state of ['queued', 'running', 'completed', 'failed', 'canceled']) {
    ids[state] = await insertJob(db, {view_name: 'leaderboard'}, {state})
  }
  await insertJob(db, {}, {type: 'send_mail'})
})

const list = async (query = ''): Promise<List> => {
  const answer = await server.get(`${JOBS}${query}`)
  expect(answer.status).toBe(200)
  return answer.json<List>()
}

describe('workers', () => {
  test('are listed, with how many are alive', async () => {
    const workers = async () => (await server.get('/api/admin/workers')).json()
    expect(await workers()).toEqual({items: [], count: 0, alive: 0})
    await pretendWorker(db)
    expect(await workers()).toMatchObject({
      items: [{host: 'pretended', pooled: true, busy: 0, refreshes: []}],
      count: 1,
      alive: 1,
    })
  })
})

describe('jobs', () => {
  test('are listed, those of other programs are not', async () => {
    const {items, count} = await list()
    expect(count).toBe(5)
    expect(items.map(({id}) => id).sort()).toEqual(Object.values(ids).sort())
  })

  test('are listed by state, type, schedule, limit and offset', async () => {
    expect((await list('?state=failed')).items).toMatchObject([{id: ids.failed}])
    expect(await list('?type=send_mail')).toEqual({items: [], count: 0})
    expect((await list('?type=materialized_view_refresh')).count).toBe(5)
    const all = (await list()).items
    expect((await list('?limit=2')).items).toEqual(all.slice(0, 2))
    expect((await list('?limit=2&offset=4')).items).toEqual(all.slice(4))
    expect((await list('?offset=100')).count).toBe(0)
    const schedule = await insertSchedule(db, 'nightly', {view: 'leaderboard'})
    await server.post(`/api/admin/schedules/${schedule}/run`)
    expect((await list('?schedule=nightly')).count).toBe(1)
    await server.delete(`/api/admin/schedules/${schedule}`)
  })

  test.each([
    ['?state=lost', /state/],
    ['?limit=0', /limit/],
    ['?limit=501', /limit/],
    ['?limit=ten', /limit/],
    ['?limit=1&limit=2', /limit/],
    ['?offset=-1', /offset/],
    ['?order=id', /"order"/],
  ])('are not listed by %s', async (query, message) => {
    const answer = await server.get(`${JOBS}${query}`)
    expect(answer.status).toBe(400)
    expect(answer.json()).toMatchObject({code: 'INVALID_ARGUMENT', message: expect.stringMatching(message)})
  })

  test('are counted', async () => {
    expect((await server.get(`${JOBS}/stats`)).json()).toMatchObject({
      running: 1,
      completed: 1,
      failed: 1,
      oldestQueuedAgeSec: expect.any(Number),
    })
  })

  test('are shown one by one', async () => {
    expect((await server.get(`${JOBS}/${ids.running}`)).json()).toMatchObject({
      id: ids.running,
      state: 'running',
      payload: {view_name: 'leaderboard'},
    })
  })

  test('are retried when they failed, and canceled when they are queued, and not otherwise', async () => {
    const [failed, queued] = [
      await insertJob(db, {view_name: 'x'}, {state: 'failed', run_at: '2100-01-01'}),
      await insertJob(db, {view_name: 'y'}, {run_at: '2100-01-01'}),
    ]
    expect((await server.post(`${JOBS}/${failed}/retry`)).json()).toMatchObject({
      state: 'queued',
      attempts: 0,
    })
    expect((await server.post(`${JOBS}/${queued}/cancel`)).json()).toMatchObject({
      state: 'canceled',
      canceledAt: expect.any(String),
    })
    for (const path of [`${queued}/retry`, `${ids.completed}/cancel`, `${ids.running}/retry`]) {
      const answer = await server.post(`${JOBS}/${path}`)
      expect(answer.status).toBe(409)
      expect(answer.json()).toMatchObject({code: 'JOB_STATE_CONFLICT'})
    }
  })

  test.each([
    ['GET', ''],
    ['POST', '/retry'],
    ['POST', '/cancel'],
  ])('that are not there are not found: %s %s', async (method, action) => {
    const unknown = await server.ask(method, `${JOBS}/${UNKNOWN}${action}`)
    expect(unknown.status).toBe(404)
    expect(unknown.json()).toMatchObject({code: 'JOB_NOT_FOUND'})
    const odd = await server.ask(method, `${JOBS}/nightly${action}`)
    expect(odd.status).toBe(400)
    expect(odd.json()).toMatchObject({code: 'INVALID_ARGUMENT'})
  })
})

describe('a set of jobs', () => {
  test('says what waits for which views, and ends as a whole', async () => {
    const views = await createTestDatabase({hasTables: true})
    await createViewSet(views, ['a > b > c'])
    const api = await startServer(views)
    const payload = {schema: 'public', view_name: 'a', scope: 'cascade'}
    const created = await api.post('/api/admin/schedules', {name: 'set', cronExpr: '0 3 1 1 *', payload})
    expect(created.json()).toMatchObject({scope: 'cascade'})
    const answer = await api.post('/api/admin/schedules/set/run')
    const queued = answer.json<Job & {jobs: Job[]; warnings: string[]}>()
    expect(queued.jobs.map(({id, state}) => [id, state])).toEqual([
      [queued.id, 'queued'],
      [expect.any(String), 'waiting'],
      [expect.any(String), 'waiting'],
    ])
    expect(queued.warnings).toEqual([expect.stringContaining('no worker is alive')])
    const {items} = (await api.get(JOBS)).json<{items: Job[]}>()
    expect(items.map(({state, runAt, waitingFor}) => ({state, isDue: runAt !== null, waitingFor}))).toEqual([
      {state: 'waiting', isDue: false, waitingFor: [{schemaName: 'public', viewName: 'a'}]},
      {state: 'waiting', isDue: false, waitingFor: [{schemaName: 'public', viewName: 'b'}]},
      {state: 'queued', isDue: true, waitingFor: []},
    ])
    expect(items.map(({setId}) => setId)).toEqual([queued.setId, queued.setId, queued.setId])
    expect((await api.get(`${JOBS}?state=waiting`)).json<List>().count).toBe(2)
    for (const [search, count] of [
      ['PUBLIC.B', 1],
      ['lic.', 3],
      ['%', 0],
      ['%00', 0],
    ] as const) {
      expect(
        (await api.get(`${JOBS}?search=${search === '%' ? '%25' : search}`)).json<List>().count,
        search,
      ).toBe(count)
    }
    expect((await api.get(`${JOBS}?search=public.a&state=waiting`)).json<List>().count).toBe(0)
    expect((await api.get(`${JOBS}/stats`)).json()).toMatchObject({queued: 1, waiting: 2})
    expect((await api.get(`${JOBS}/${items[1]?.id}`)).json()).toMatchObject({state: 'waiting'})
    expect((await api.get('/metrics')).text).toMatch(/ayb_jobs\{state="waiting",[^}]+\} 2\n/)
    const canceled = await api.post(`${JOBS}/${items[0]?.id}/cancel`)
    expect(canceled.json()).toMatchObject({state: 'canceled', waitingFor: []})
    expect((await api.get(`${JOBS}/stats`)).json()).toMatchObject({queued: 1, waiting: 0, canceled: 2})
    await stopServers([api])
  })
})
