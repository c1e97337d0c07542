import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {createGatedView, runsOf, untilRefreshing} from '../support/refresh.ts'
import {openSocket, type RunningServer, startServer, stopServers} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

const ADMIN = '/api/admin'
const ASYNC = {headers: {prefer: 'respond-async, wait=10'}}

interface Job {
  id: string
  state: string
  scheduleId: string | null
  setId: string | null
  payload: object
  lastError: string | null
}

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase()
  // With one slot, a second job for a view stays queued while the first runs.
  server = await startServer(db, ['--worker'], {env: {AYB_JOBS_WORKER_CONCURRENCY: '1'}})
  await server.post(`${ADMIN}/matviews`, {viewName: 'leaderboard'})
  await until(async () => (await server.get(`${ADMIN}/workers`)).json<{alive: number}>().alive === 1, {
    what: 'a worker',
    timeoutMs: PATIENCE_MS,
  })
})

afterAll(() => stopServers([server]))

const untilEnded = (location: string): Promise<Job> =>
  until(
    async () => {
      const job = (await server.get(location)).json<Job>()
      return ['completed', 'failed', 'canceled'].includes(job.state) && job
    },
    {what: 'the end of the job', timeoutMs: PATIENCE_MS},
  )

describe('a refresh that prefers no wait', () => {
  test('is answered at once with its job, which a worker does', async () => {
    const answer = await server.post(`${ADMIN}/matviews/leaderboard/refresh`, undefined, ASYNC)
    expect(answer.status).toBe(202)
    expect(answer.headers['preference-applied']).toBe('respond-async')
    const job = answer.json<Job>()
    expect(job).toMatchObject({
      scheduleId: null,
      payload: {schema: 'public', view_name: 'leaderboard'},
      maxAttempts: 1,
    })
    const {location = ''} = answer.headers
    expect(location).toBe(`${ADMIN}/jobs/${job.id}`)
    expect((await untilEnded(location)).state).toBe('completed')
    expect(await runsOf(db, 'leaderboard')).toMatchObject([{status: 'success', job_id: job.id}])
  })

  test('goes on without its client, is one job however often it is asked for, and can be canceled', async () => {
    const gate = await createGatedView(db, 'gated')
    await gate.close()
    const path = `${ADMIN}/matviews/gated/refresh`
    const first = (await server.post(path, undefined, ASYNC)).json<Job>()
    await untilRefreshing(db, 'gated')
    // What runs may have read already, so that another job follows: one, for all that ask meanwhile.
    const asked = await Promise.all([1, 2, 3].map(() => server.post(path, undefined, ASYNC)))
    expect(asked.map(({status}) => status)).toEqual([202, 202, 202])
    const ids = new Set(asked.map((answer) => answer.json<Job>().id))
    expect(ids.size).toBe(1)
    expect(ids.has(first.id)).toBe(false)
    const [queued = ''] = ids
    expect((await server.post(`${ADMIN}/jobs/${queued}/cancel`)).json()).toMatchObject({state: 'canceled'})

    const shown = (await server.get(`${ADMIN}/matviews?running=true`)).json<{
      items: {viewName: string; running: {jobId: string; workerId: string}}[]
      counts: Record<string, number>
    }>()
    expect(shown.items).toMatchObject([{viewName: 'gated', running: {jobId: first.id}}])
    expect(shown.counts).toMatchObject({running: 1, all: 2})

    const answer = await server.post(`${ADMIN}/matviews/gated/cancel`)
    expect(answer.status).toBe(200)
    expect(answer.json()).toMatchObject({canceled: [{jobId: first.id}], warnings: []})
    expect((await untilEnded(`${ADMIN}/jobs/${first.id}`)).state).toBe('canceled')
    expect((await server.post(`${ADMIN}/matviews/gated/cancel`)).json()).toMatchObject({
      code: 'JOB_STATE_CONFLICT',
    })
    await gate.open()
  })

  test('with ?cascade refreshes what reads the view, too', async () => {
    await db.query(
      'create materialized view above as select 1 as id; create materialized view below as select id from above',
    )
    for (const viewName of ['above', 'below']) await server.post(`${ADMIN}/matviews`, {viewName})
    const answer = await server.post(`${ADMIN}/matviews/above/refresh?cascade=true`, undefined, ASYNC)
    expect(answer.status).toBe(202)
    expect(answer.json()).toMatchObject({payload: {view_name: 'above', scope: 'cascade'}})
    await until(async () => (await runsOf(db, 'below')).some(({status}) => status === 'success'), {
      what: 'the refresh of the view below',
      timeoutMs: PATIENCE_MS,
    })
    expect(await runsOf(db, 'above')).toMatchObject([{status: 'success'}])
    expect((await server.get(answer.headers.location ?? '')).json()).toMatchObject({
      setId: expect.any(String),
    })
  })

  test('of a view that is gone fails as a job, and of no registration at once', async () => {
    expect((await server.post(`${ADMIN}/matviews/nothing/refresh`, undefined, ASYNC)).status).toBe(404)
    await db.query('create materialized view fading as select 1 as id')
    await server.post(`${ADMIN}/matviews`, {viewName: 'fading'})
    await db.query('drop materialized view fading')
    const answer = await server.post(`${ADMIN}/matviews/fading/refresh`, undefined, ASYNC)
    expect(answer.status).toBe(202)
    const job = await untilEnded(answer.headers.location ?? '')
    expect(job).toMatchObject({state: 'failed', lastError: expect.stringContaining('public.fading')})
  })
})

test('a refresh without the preference, or without a worker, is answered when it is done', async () => {
  expect((await server.post(`${ADMIN}/matviews/leaderboard/refresh`)).status).toBe(200)
  const fresh = await createTestDatabase()
  const own = await startServer(fresh)
  await own.post(`${ADMIN}/matviews`, {viewName: 'leaderboard'})
  const answer = await own.post(`${ADMIN}/matviews/leaderboard/refresh`, undefined, ASYNC)
  expect(answer.status).toBe(200)
  expect(answer.headers.location).toBeUndefined()
  expect(answer.json()).toMatchObject({registration: {lastRefreshStatus: 'success'}})
  expect(await fresh.query('select from _ayb_jobs')).toEqual([])
  await stopServers([own])
})

test('a client that goes away behind its answer cancels nothing', async () => {
  const gate = await createGatedView(db, 'lasting')
  await gate.close()
  const socket = await openSocket(server.origin)
  socket.write(
    [
      `POST ${ADMIN}/matviews/lasting/refresh HTTP/1.1`,
      `host: ${new URL(server.origin).host}`,
      'authorization: Bearer a-token-for-tests-0123456789',
      'prefer: respond-async',
      'content-length: 0\r\n\r\n',
    ].join('\r\n'),
  )
  await untilRefreshing(db, 'lasting')
  socket.destroy()
  await gate.open()
  await until(async () => (await runsOf(db, 'lasting')).some(({status}) => status === 'success'), {
    what: 'the end of the refresh',
    timeoutMs: PATIENCE_MS,
  })
})
