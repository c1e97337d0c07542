import {Validator} from '@seriousme/openapi-schema-validator'
import {beforeAll, describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {startProxy} from '../support/half-open.ts'
import {
  createGatedView,
  createRefreshDatabase,
  registrationOf,
  runsOf,
  untilNothingIsLeft,
  untilRefreshing,
} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {
  openSocket,
  type RunningServer,
  startServer,
  stopServers,
  TOKEN,
  untilLogged,
} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {takeAway} from '../support/worker.ts'

const MATVIEWS = '/api/admin/matviews'

describe('the description of the API', () => {
  test('is valid OpenAPI 3.1 and has every route', async () => {
    const server = await startServer(await createTestDatabase())
    const answer = await server.get('/api/openapi.json', {token: null})
    expect(answer.status).toBe(200)
    const document = answer.json<{openapi: string; paths: Record<string, Record<string, object>>}>()
    expect(document.openapi).toBe('3.1.0')
    expect(await new Validator().validate(document as never)).toEqual({valid: true})
    const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(routes.sort()).toMatchSnapshot()
    await stopServers([server])
  })
})

describe('health', () => {
  let db: TestDatabase
  let server: RunningServer

  beforeAll(async () => {
    db = await createTestDatabase()
    server = await startServer(db)
  })

  test('and readiness are told without the token', async () => {
    for (const path of ['/healthz', '/readyz']) {
      expect(await server.get(path, {token: null})).toMatchObject({status: 200, text: 'ok\n'})
    }
  })

  test('is told without the database, readiness is not, until it is back', async () => {
    const back = await takeAway(db)
    await until(async () => (await server.get('/readyz')).status === 503, {
      what: 'not ready',
      timeoutMs: PATIENCE_MS,
    })
    expect((await server.get('/healthz')).status).toBe(200)
    const answer = await server.get(MATVIEWS)
    expect(answer.status).toBe(503)
    expect(answer.json()).toMatchObject({code: expect.stringMatching(/^CONNECTION_/)})
    await back()
    await until(async () => (await server.get('/readyz')).status === 200, {
      what: 'ready',
      timeoutMs: PATIENCE_MS,
    })
    expect((await server.get(MATVIEWS)).status).toBe(200)
  })

  test('that is half-open is not ready within seconds, and again when it is healed', async () => {
    const proxy = await startProxy(db)
    const own = await startServer({url: proxy.through(db.url)})
    // So that sessions are kept.
    await Promise.all(Array.from({length: 8}, () => own.get(MATVIEWS)))
    expect(proxy.stallAll().length).toBeGreaterThan(0)
    const stalledAt = performance.now()
    await until(async () => (await own.get('/readyz')).status === 503, {
      what: 'not ready',
      timeoutMs: PATIENCE_MS,
    })
    expect(performance.now() - stalledAt).toBeLessThan(15_000)
    proxy.heal()
    await until(async () => (await own.get('/readyz')).status === 200, {
      what: 'ready',
      timeoutMs: PATIENCE_MS,
    })
    expect((await own.get(MATVIEWS)).status).toBe(200)
    await stopServers([own])
  }, 90_000)

  test('metrics are in the format of Prometheus', async () => {
    const {status, headers, text} = await server.get('/metrics', {token: null})
    expect(status).toBe(200)
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/)
    expect(text).toMatch(/^# TYPE ayb_refreshes_total counter$/m)
  })
})

describe('with --worker', () => {
  test('schedules are run by the same process', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await startServer(db, ['--worker'], {env: {AYB_JOBS_POLL_INTERVAL_MS: '500'}})
    await insertSchedule(db, 'now', {view: 'leaderboard'})
    await until(async () => (await runsOf(db, 'leaderboard')).length > 0, {
      what: 'a run',
      timeoutMs: PATIENCE_MS,
    })
    expect(await runsOf(db, 'leaderboard')).toMatchObject([{status: 'success', trigger: 'schedule'}])
    const {text} = await server.get('/metrics')
    expect(text).toContain('ayb_refreshes_total{view="public.leaderboard",status="success"} 1')
    expect(text).toMatch(/^ayb_worker_slots\{state="free"\} 4$/m)
    server.kill()
    expect((await server.done).code).toBe(0)
    expect(server.logs().map(({msg}) => msg)).toEqual(expect.arrayContaining(['worker stopped', 'stopped']))
    await untilNothingIsLeft(db, PATIENCE_MS)
  })
})

describe('stopped', () => {
  test('it lets a refresh finish, answers it, and takes no more requests', async () => {
    const db = await createRefreshDatabase()
    const gate = await createGatedView(db, 'gated')
    const server = await startServer(db)
    await gate.close()
    const answer = server.post(`${MATVIEWS}/gated/refresh`)
    await untilRefreshing(db, 'gated')
    server.kill()
    await untilLogged(server, ({msg}) => msg === 'stopping', 'the end to begin')
    await expect(server.get('/healthz')).rejects.toThrow(/ECONNREFUSED/)
    await gate.open()
    expect((await answer).status).toBe(200)
    expect((await server.done).code).toBe(0)
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('it cancels a refresh after --shutdown-timeout, and records that', async () => {
    const db = await createRefreshDatabase()
    const gate = await createGatedView(db, 'gated')
    const server = await startServer(db, ['--shutdown-timeout', '1s'])
    await gate.close()
    const answer = server.post(`${MATVIEWS}/gated/refresh`)
    await untilRefreshing(db, 'gated')
    server.kill('SIGINT')
    const {status, json} = await answer
    expect(status).toBe(499)
    expect(json()).toMatchObject({code: 'CANCELED', message: 'canceled: the HTTP server of ayb was stopped'})
    expect((await server.done).code).toBe(0)
    await gate.open()
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'canceled'}])
    expect(await registrationOf(db, 'gated')).toMatchObject({last_refresh_status: null})
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('a second time, it ends at once', async () => {
    const db = await createRefreshDatabase()
    const gate = await createGatedView(db, 'gated')
    const server = await startServer(db)
    await gate.close()
    const answer = server.post(`${MATVIEWS}/gated/refresh`).catch(() => null)
    await untilRefreshing(db, 'gated')
    server.kill()
    await untilLogged(server, ({msg}) => msg === 'stopping', 'the end to begin')
    server.kill('SIGINT')
    expect(await server.done).toMatchObject({code: 130, signal: null})
    expect(await answer).toBeNull()
    await untilNothingIsLeft(db, PATIENCE_MS)
    await gate.open()
  })

  test('it does not wait for connections that are open and say nothing', async () => {
    const server = await startServer(await createTestDatabase())
    // Somebody who has gone in the middle of a request is not waited for either.
    const gone = await openSocket(server.origin)
    gone.write('POST /api/admin/matviews HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n{')
    gone.destroy()
    const sockets = await Promise.all(Array.from({length: 20}, () => openSocket(server.origin)))
    sockets[0]?.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n')
    const killedAt = performance.now()
    server.kill()
    expect((await server.done).code).toBe(0)
    // The shutdown timeout is 25 s.
    expect(performance.now() - killedAt).toBeLessThan(15_000)
    for (const socket of sockets) socket.destroy()
  })
})

describe('clients', () => {
  test('200 at once are all answered, with no more sessions than there are', async () => {
    const db = await createRefreshDatabase()
    const server = await startServer(db)
    const answers = await Promise.all(
      Array.from({length: 200}, (_, n) => server.get(n % 2 === 0 ? MATVIEWS : `${MATVIEWS}/leaderboard`)),
    )
    expect(answers.map(({status}) => status)).toEqual(answers.map(() => 200))
    const [row] = await db.query<{sessions: number}>(
      `select count(*)::int as sessions from pg_stat_activity where application_name = 'ayb serve' and datname = current_database()`,
    )
    expect(row?.sessions).toBeLessThanOrEqual(8)
    await stopServers([server])
  })

  test('that refresh one view at once are refused but for one', async () => {
    const db = await createRefreshDatabase()
    const gate = await createGatedView(db, 'gated')
    const server = await startServer(db)
    await gate.close()
    const first = server.post(`${MATVIEWS}/gated/refresh`)
    await untilRefreshing(db, 'gated')
    const others = await Promise.all(Array.from({length: 50}, () => server.post(`${MATVIEWS}/gated/refresh`)))
    expect(others.map(({status}) => status)).toEqual(others.map(() => 409))
    await gate.open()
    expect((await first).status).toBe(200)
    await stopServers([server])
  })

  test('that want more refreshes than there are sessions are told so; what is not there is told at once', async () => {
    const db = await createRefreshDatabase()
    const server = await startServer(db)
    const gates = []
    for (let n = 0; n < 17; n++) gates.push(await createGatedView(db, `gated${n}`))
    for (const gate of gates) await gate.close()
    const running = Array.from({length: 16}, (_, n) => server.post(`${MATVIEWS}/gated${n}/refresh`))
    for (let n = 0; n < 16; n++) await untilRefreshing(db, `gated${n}`)
    const last = server.post(`${MATVIEWS}/gated16/refresh`)
    expect((await server.post(`${MATVIEWS}/nothing/refresh`)).status).toBe(404)
    expect((await server.post(`${MATVIEWS}/gated0/refresh`)).status).toBe(409)
    const {status, json} = await last
    expect(status).toBe(504)
    expect(json()).toMatchObject({code: 'TIMEOUT', message: '16 refreshes are running already'})
    for (const gate of gates) await gate.open()
    expect((await Promise.all(running)).map((answer) => answer.status)).toEqual(running.map(() => 200))
    await stopServers([server])
  }, 120_000)

  test('that send slowly keep nobody waiting, and are given up', async () => {
    const db = await createTestDatabase()
    const server = await startServer(db)
    const slow = await Promise.all(Array.from({length: 50}, () => openSocket(server.origin)))
    const ends = slow.map(
      (socket) =>
        new Promise<string>((resolve) => {
          let text = ''
          socket.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk
          })
          socket.on('close', () => resolve(text))
        }),
    )
    for (const socket of slow) {
      socket.write(
        `POST ${MATVIEWS} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKEN}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
      )
    }
    expect((await server.get(MATVIEWS)).status).toBe(200)
    for (const text of await Promise.all(ends)) expect(text).toMatch(/^HTTP\/1\.1 408/)
    await stopServers([server])
  }, 120_000)
})
