import type {Socket} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'
import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {exchange, openSocket, type RunningServer, startServer, stopServers, TOKEN} from '../support/serve.ts'
import {until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase()
  server = await startServer(db)
})

/** The status and the document of a raw answer. */
function parse(answer: string) {
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  expect(head).toMatch(/^content-type: application\/json; charset=utf-8\r?$/im)
  expect(head).toMatch(/^connection: close\r?$/im)
  return {status: Number(head.split(' ')[1]), document: JSON.parse(body) as Record<string, unknown>}
}

describe('on a loopback address', () => {
  test.each([
    'localhost',
    'localhost:1',
    'LocalHost:8090',
    'localhost.',
    '127.0.0.1',
    '127.0.0.1:80',
    '[::1]:8090',
  ])('the server answers as %s', async (host) => {
    expect((await server.get('/healthz', {headers: {host}})).status).toBe(200)
  })

  test.each([
    'evil.example',
    'evil.example:8090',
    '127.0.0.1.evil.example',
    'localhost.evil.example:8090',
    'evil.example:80@127.0.0.1',
    'evil.example/127.0.0.1',
    '192.0.2.1',
    '[::2]:8090',
    ':8090',
  ])('the server does not answer as %j', async (host) => {
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/healthz'],
      ['GET', '/metrics'],
      ['GET', '/api/admin/matviews'],
      ['POST', '/api/admin/matviews'],
      ['GET', '/api/collections/leaderboard'],
      ['GET', '/nothing'],
    ] as const) {
      const answer = await server.ask(method, path, {headers: {host}})
      expect(answer.status).toBe(403)
      expect(answer.json()).toEqual({
        code: 'HOST_NOT_ALLOWED',
        message: expect.stringContaining(JSON.stringify(host)),
        hint: expect.not.stringContaining('--'),
      })
    }
  })

  test('names can be added', async () => {
    const own = await startServer(db, ['--allowed-host', 'ayb.example.com', '--allowed-host=Other.Example'])
    const statusAs = async (host: string) => (await own.get('/healthz', {headers: {host}})).status
    for (const host of [
      'ayb.example.com',
      'AYB.example.com:443',
      'other.example',
      'localhost',
      '127.0.0.1:9',
    ])
      expect(await statusAs(host)).toBe(200)
    for (const host of ['example.com', 'x.ayb.example.com']) expect(await statusAs(host)).toBe(403)
    await stopServers([own])
    const refused = own.logs().filter(({level}) => level === 'warn')
    expect(refused.map(({msg}) => msg)).toEqual([
      'refused GET /healthz from 127.0.0.1: its Host is "example.com", which --allowed-host does not name',
      'refused GET /healthz from 127.0.0.1: its Host is "x.ayb.example.com", which --allowed-host does not name',
    ])
  })

  test.each(['', 'https://ayb.example.com', 'ayb.example.com:443', 'a b', '*.example.com'])(
    'the name %j cannot be added',
    async (name) => {
      const {code, stderr} = await ayb(['serve', '--allowed-host', name], {
        url: db.url,
        env: {AYB_ADMIN_TOKEN: TOKEN},
      })
      expect(code).toBe(2)
      expect(stderr).toContain(`--allowed-host: ${JSON.stringify(name)} is not the name of a host`)
    },
  )
})

test('on other addresses the server answers as whatever it is asked, unless names are given', async () => {
  const own = await startServer(db, ['--listen', '0.0.0.0:0'])
  const [, port] = /:(\d+)$/.exec(own.origin) ?? []
  const statusAs = (origin: string, host: string) =>
    exchange(origin, `GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
  expect(await statusAs(`http://127.0.0.1:${port}`, 'any.example')).toMatch(/^HTTP\/1\.1 200/)
  const strict = await startServer(db, ['--listen', '0.0.0.0:0', '--allowed-host', 'ayb.example.com'])
  const strictOrigin = strict.origin.replace('0.0.0.0', '127.0.0.1')
  for (const host of ['ayb.example.com', '127.0.0.1'])
    expect(await statusAs(strictOrigin, host)).toMatch(/^HTTP\/1\.1 200/)
  expect(await statusAs(strictOrigin, 'any.example')).toMatch(/^HTTP\/1\.1 403/)
  await stopServers([own, strict])
})

describe('an answer to what reaches no route', () => {
  test.each([
    ['no HTTP', 'hello\r\n\r\n', 400, 'INVALID_ARGUMENT'],
    ['TLS', Buffer.from('16030100050100000100', 'hex'), 400, 'INVALID_ARGUMENT'],
    ['an unknown method', 'FOO / HTTP/1.1\r\nhost: localhost\r\n\r\n', 400, 'INVALID_ARGUMENT'],
    ['an empty Host', 'GET / HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n', 403, 'HOST_NOT_ALLOWED'],
    ['no Host', 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'INVALID_ARGUMENT'],
    [
      'headers without end',
      `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(200_000)}`,
      431,
      'HEADERS_TOO_LARGE',
    ],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx',
      400,
      'INVALID_ARGUMENT',
    ],
    [
      'an expectation',
      'GET /nothing HTTP/1.1\r\nhost: localhost\r\nexpect: the-best\r\nconnection: close\r\n\r\n',
      404,
      'NOT_FOUND',
    ],
    [
      'a method that no route has',
      'PROPFIND / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n',
      405,
      'METHOD_NOT_ALLOWED',
    ],
  ])('has the shape of all errors: %s', async (_what, sent, status, code) => {
    const answer = parse(await exchange(server.origin, sent))
    expect(answer.status).toBe(status)
    expect(Object.keys(answer.document)).toEqual(['code', 'message', 'hint'])
    expect(answer.document).toMatchObject({code, message: expect.stringMatching(/\S/)})
  })

  test('is none for HTTP/1.0 without Host', async () => {
    expect(await exchange(server.origin, 'GET /healthz HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200/)
  })
})

describe('the log', () => {
  test('tells who did what with the token, and how it ended', async () => {
    const own = await startServer(await createTestDatabase())
    await own.get('/api/admin/matviews')
    await own.post('/api/admin/matviews', {viewName: 'leaderboard'})
    await own.post('/api/admin/matviews/leaderboard/refresh?x=secret')
    await own.delete('/api/admin/matviews/nothing')
    const lines = await until(
      () => {
        const actions = own.logs().filter(({route}) => route !== undefined)
        return actions.length === 3 && actions
      },
      {what: 'three actions'},
    )
    expect(lines).toMatchObject([
      {
        level: 'info',
        event: 'http.action',
        msg: 'POST /api/admin/matviews from 127.0.0.1: 201',
        address: '127.0.0.1',
        route: 'POST /api/admin/matviews',
        outcome: '201',
      },
      {
        msg: 'POST /api/admin/matviews/leaderboard/refresh from 127.0.0.1: 400',
        route: 'POST /api/admin/matviews/:id/refresh',
      },
      {msg: 'DELETE /api/admin/matviews/nothing from 127.0.0.1: 404', outcome: '404'},
    ])
    await stopServers([own])
    expect(own.stdout()).not.toMatch(/secret/)
  })

  test('tells of refused tokens, of many by their number, and never which', async () => {
    const own = await startServer(db)
    const guess = 'a-guess-of-a-token-0123456789'
    for (let n = 0; n < 40; n++)
      await own.get(`/api/admin/matviews/${guess}`, {token: n === 0 ? null : guess, headers: {cookie: guess}})
    await own.get('/api/collections/leaderboard', {token: guess})
    expect(own.logs().filter(({level}) => level === 'warn')).toHaveLength(5)
    await stopServers([own])
    const lines = own.logs().filter(({level}) => level === 'warn')
    expect(lines).toHaveLength(6)
    const route = 'GET /api/admin/matviews/:id'
    expect(lines[0]).toMatchObject({
      msg: `refused ${route} from 127.0.0.1: a token is needed`,
      address: '127.0.0.1',
      route,
      outcome: 'a token is needed',
    })
    expect(lines[1]).toMatchObject({msg: `refused ${route} from 127.0.0.1: the token is not valid`})
    expect(lines[5]).toMatchObject({
      msg: 'refused 36 more requests since then, the last GET /api/collections/:view from 127.0.0.1',
      refusals: 36,
    })
    expect(own.stdout()).not.toContain(guess)
  })
})

describe('connections', () => {
  /** Opens so many that say nothing, and never end them. */
  const crowd = async (origin: string, count: number): Promise<Socket[]> => {
    const sockets = []
    for (let n = 0; n < count; n++) sockets.push(await openSocket(origin))
    return sockets
  }

  test.each([
    ['with as many files as there may be', {}],
    ['with 256', {openFiles: 256}],
  ])(
    'that say nothing keep nobody out of ayb serve --worker, %s',
    async (_how, options) => {
      const own = await startServer(await createTestDatabase({hasTables: true}), ['--worker'], options)
      const sockets = await crowd(own.origin, 700)
      for (let n = 0; n < 10; n++) {
        expect((await own.get('/healthz')).status).toBe(200)
        expect((await own.get('/api/admin/matviews')).status).toBe(200)
      }
      for (const socket of sockets) socket.destroy()
      await stopServers([own])
      expect(own.stdout() + own.stderr()).not.toMatch(/EMFILE|too many open files/i)
      expect((await own.done).code).toBe(0)
    },
    60_000,
  )

  test('that say nothing keep nobody out of ayb worker --listen', async () => {
    const worker = await startWorker(
      await createTestDatabase({hasTables: true}),
      ['--listen', '127.0.0.1:0'],
      {
        openFiles: 256,
      },
    )
    const [, origin = ''] = await worker.waitForOutput(/listening on (http:\/\/[^\s"]+)/)
    const sockets = await crowd(origin, 320)
    for (const path of ['/healthz', '/readyz', '/metrics'])
      expect((await fetch(`${origin}${path}`)).status).toBe(200)
    for (const socket of sockets) socket.destroy()
    await stopWorkers([worker])
    expect(worker.stdout() + worker.stderr()).not.toMatch(/EMFILE|too many open files/i)
  }, 60_000)

  test('that all wait for their answers are left alone, and probes are answered beside them', async () => {
    const own = await startServer(db, ['--public-collections'], {openFiles: 128})
    await own.post('/api/admin/matviews', {viewName: 'leaderboard'})
    const holder = await db.connect()
    await holder.query('begin; refresh materialized view leaderboard')
    const path = '/api/collections/leaderboard'
    // Of 64 connections the last four are for probes.
    const reading: Promise<number>[] = []
    const read = () =>
      reading.push(
        own.get(path, {token: null}).then(
          ({status}) => status,
          () => 0,
        ),
      )
    for (let n = 0; n < 60; n++) read()
    const refused = await until(
      async () => {
        const answer = await own.get('/api/openapi.json')
        if (answer.status === 503) return answer
        // One that had not sent its request yet gave way to this one.
        read()
        return false
      },
      {what: 'all connections to wait'},
    )
    expect(refused.json()).toEqual({
      code: 'TOO_MANY_CONNECTIONS',
      message: 'the server is answering too many requests already',
      hint: 'try again',
    })
    for (let n = 0; n < 10; n++) {
      expect((await own.get('/healthz')).status).toBe(200)
      expect((await own.get(path, {token: null})).json()).toMatchObject({code: 'TOO_MANY_CONNECTIONS'})
    }
    await holder.query('rollback')
    const statuses = await Promise.all(reading)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(60)
    await stopServers([own])
    expect(own.logs().filter(({level}) => level === 'error')).toEqual([])
  }, 60_000)

  test('whose answers are not read are dropped', async () => {
    const requests = 200
    const socket = await openSocket(server.origin)
    // More than the system takes from the server.
    socket.pause().write('GET /app.js HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(requests))
    // 30 s, and up to 5 s until the server looks. Who does not read hears nothing of the end.
    await sleep(45_000)
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    const answers = () => text.split('HTTP/1.1 200').length - 1
    await until(() => socket.resume().destroyed || answers() === requests, {what: 'the end'})
    expect(answers()).toBeLessThan(requests)
  }, 90_000)
})

test('a request that does not arrive in time is told so', async () => {
  const [headers, body] = await Promise.all([
    exchange(server.origin, 'GET / HTTP/1.1\r\nhost: local'),
    exchange(
      server.origin,
      `POST /api/admin/matviews HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKEN}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
    ),
  ])
  for (const answer of [headers, body])
    expect(parse(answer)).toEqual({
      status: 408,
      document: {
        code: 'REQUEST_TIMEOUT',
        message: 'the request did not arrive in time',
        hint: 'send it faster',
      },
    })
}, 60_000)
