import {networkInterfaces} from 'node:os'
import {beforeAll, describe, expect, test} from 'vitest'
import {startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {createSchedule} from '../support/schedules.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'

const ADMIN = '/api/admin'
const ID = '550e8400-e29b-41d4-a716-446655440000'

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase()
  server = await startServer(db)
})

describe('a method that a path does not take', () => {
  test.each([
    ['PATCH', `${ADMIN}/matviews/${ID}`, 'DELETE, GET, HEAD, PUT'],
    ['DELETE', `${ADMIN}/matviews`, 'GET, HEAD, POST'],
    ['GET', `${ADMIN}/matviews/${ID}/refresh`, 'POST'],
    ['GET', `${ADMIN}/matviews/public.leaderboard/refresh/?x=1`, 'POST'],
    ['POST', `${ADMIN}/schedules/${ID}`, 'DELETE, GET, HEAD, PUT'],
    ['POST', `${ADMIN}/jobs/stats`, 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['DELETE', '/api/openapi.json', 'GET, HEAD'],
    ['POST', '/', 'GET, HEAD'],
  ])('is refused with what the path takes: %s %s', async (method, path, allow) => {
    const answer = await server.ask(method, path)
    expect(answer.status).toBe(405)
    expect(answer.headers.allow).toBe(allow)
    expect(answer.json()).toMatchObject({
      code: 'METHOD_NOT_ALLOWED',
      message: `${path.replace(/\?.*/, '')} does not take ${method}`,
      hint: `it takes ${allow}`,
    })
  })

  test('is not told without the token', async () => {
    expect((await server.ask('PATCH', `${ADMIN}/matviews/${ID}`, {token: null})).status).toBe(401)
  })

  test('is no answer where there is no such path', async () => {
    for (const path of ['/nothing', `${ADMIN}/nothing`, `${ADMIN}/matviews/a/b/c`]) {
      expect((await server.ask('PATCH', path)).status).toBe(404)
    }
  })
})

test('a path that is no UTF-8 is a bad request', async () => {
  for (const path of ['matviews/%FF', 'schedules/%ff', 'jobs/%C3%28', 'matviews/%FF/refresh', '%FF']) {
    const answer = await server.get(`${ADMIN}/${path}`)
    expect(answer.status, path).toBe(400)
    expect(answer.json()).toMatchObject({code: 'INVALID_ARGUMENT'})
  }
  expect((await server.get('/api/collections/%FF')).status).toBe(400)
  const query = await server.get(`${ADMIN}/jobs?schedule=%FF`)
  expect(query.json()).toMatchObject({code: 'INVALID_ARGUMENT', hint: 'write % itself as %25'})
  expect((await server.get(`${ADMIN}/jobs?schedule=100%25`)).json()).toMatchObject({
    code: 'SCHEDULE_NOT_FOUND',
  })
})

test('a schedule named next is shown, and changed', async () => {
  const path = `${ADMIN}/schedules/next`
  expect((await server.get(path)).json()).toMatchObject({code: 'SCHEDULE_NOT_FOUND'})
  const {id} = await createSchedule(db, 'next')
  expect((await server.get(path)).json()).toMatchObject({id, name: 'next'})
  expect((await server.put(path, {enabled: false})).json()).toMatchObject({id, enabled: false})
  const {runs} = (await server.get(`${path}?cronExpr=@hourly&count=2`)).json<{runs: string[]}>()
  expect(runs).toHaveLength(2)
  // What concerns an expression alone needs one.
  expect((await server.get(`${path}?count=2`)).status).toBe(400)
})

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({address}) => address === '::1'))

describe('an address without a host', () => {
  test('is all addresses, those of IPv6 too', async () => {
    const own = await startServer(db, ['--listen', ':0'])
    const [, port] = /:(\d+)$/.exec(own.origin) ?? []
    for (const host of hasIpv6 ? ['127.0.0.1', '[::1]'] : ['127.0.0.1']) {
      expect((await fetch(`http://${host}:${port}/healthz`)).status, host).toBe(200)
    }
    const worker = startAyb(['worker', '--listen', ':0'], db)
    const [, workerPort] = await worker.waitForOutput(/listening on http:\/\/\S*:(\d+)/)
    for (const host of hasIpv6 ? ['127.0.0.1', '[::1]'] : ['127.0.0.1']) {
      expect((await fetch(`http://${host}:${workerPort}/healthz`)).status, host).toBe(200)
    }
    worker.kill()
    await worker.done
    await stopServers([own])
  })
})
