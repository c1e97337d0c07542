import {once} from 'node:events'
import {setTimeout} from 'node:timers/promises'
import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {openSocket, type RunningServer, startServer, stopServers, TOKEN} from '../support/serve.ts'
import {until} from '../support/until.ts'

const COLLECTIONS = '/api/collections'

let db: TestDatabase
let server: RunningServer
let open: RunningServer

beforeAll(async () => {
  db = await createTestDatabase()
  await db.query('create schema "Weekly Stats"')
  await db.query(
    `create materialized view "Weekly Stats"."by ""team""" as select n as "a&b", 9007199254740993 as big from generate_series(1, 3) n`,
  )
  await db.query('create materialized view empty as select 1 as id with no data')
  await db.query('create view plain as select 1 as id')
  server = await startServer(db)
  open = await startServer(db, ['--public-collections'])
  for (const [viewName, schema] of [
    ['leaderboard', 'public'],
    ['empty', 'public'],
    ['"by ""team"""', '"Weekly Stats"'],
  ]) {
    expect((await server.post('/api/admin/matviews', {viewName, schema})).status).toBe(201)
  }
})

describe('the rows of a view', () => {
  test('come by its name, with and without the schema', async () => {
    const answer = await server.get(`${COLLECTIONS}/leaderboard?sort=-total_minutes,name&perPage=2`)
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
    })
    const rows = await db.query<{row: unknown}>(
      'select row_to_json(v) as row from leaderboard v order by total_minutes desc, name limit 2',
    )
    const items = rows.map(({row}) => row)
    expect(answer.json()).toEqual({items, page: 1, perPage: 2, totalItems: 50, totalPages: 25})
    const same = await server.get(`${COLLECTIONS}/public.leaderboard?perPage=2&sort=-total_minutes,name`)
    expect(same.text).toBe(answer.text)
  })

  test('come by any name that is encoded, with numbers that are exact', async () => {
    const name = encodeURIComponent('"Weekly Stats"."by ""team"""')
    const parameter = encodeURIComponent('a&b[gte]')
    const {status, text} = await server.get(
      `${COLLECTIONS}/${name}?${parameter}=2&sort=-a%26b&fields=big,a%26b`,
    )
    expect(status).toBe(200)
    expect(text).toContain('"items":[{"big":9007199254740993,"a&b":3},{"big":9007199254740993,"a&b":2}]')
  })

  test.each([
    ['users', 404, 'VIEW_NOT_FOUND'],
    ['plain', 404, 'VIEW_NOT_FOUND'],
    ['pg_catalog.pg_authid', 404, 'VIEW_NOT_FOUND'],
    ['_ayb_jobs', 404, 'VIEW_NOT_FOUND'],
    ['nothing', 404, 'VIEW_NOT_FOUND'],
    ['users;', 400, 'INVALID_IDENTIFIER'],
    ['a.b.c', 400, 'INVALID_IDENTIFIER'],
    ['%00', 400, 'INVALID_IDENTIFIER'],
    ['empty', 409, 'NOT_POPULATED'],
    ['leaderboard?perPage=501', 400, 'INVALID_ARGUMENT'],
    ['leaderboard?page=0', 400, 'INVALID_ARGUMENT'],
    ['leaderboard?page=1&page=2', 400, 'INVALID_ARGUMENT'],
    ['leaderboard?id=1&id=2', 400, 'INVALID_ARGUMENT'],
    ['leaderboard?id[gte]=x', 400, 'INVALID_ARGUMENT'],
    ['leaderboard?id=%00', 400, 'INVALID_ARGUMENT'],
    ['leaderboard?sort=nam', 400, 'INVALID_ARGUMENT'],
    ["leaderboard?name');drop%20table%20users;--=1", 400, 'INVALID_ARGUMENT'],
    ['leaderboard?__proto__=1', 400, 'INVALID_ARGUMENT'],
    ['leaderboard?=1', 400, 'INVALID_ARGUMENT'],
    ['%zz', 400, 'INVALID_ARGUMENT'],
    ['', 404, 'NOT_FOUND'],
    ['leaderboard/1', 404, 'NOT_FOUND'],
  ])('are refused at %s with %d %s', async (path, status, code) => {
    const answer = await server.get(`${COLLECTIONS}/${path}`)
    expect({status: answer.status, ...answer.json()}).toEqual({
      status,
      code,
      message: expect.any(String),
      hint: expect.toSatisfy((hint) => hint === null || typeof hint === 'string'),
    })
  })

  test('of a view that is not registered are refused, and nobody without a token hears that there is one', async () => {
    await db.query('create materialized view unregistered as select 1 as id')
    const path = `${COLLECTIONS}/unregistered`
    const known = await server.get(path)
    expect(known.status).toBe(404)
    expect(known.json()).toEqual({
      code: 'NOT_REGISTERED',
      message: 'public.unregistered is not registered, and only registered views can be read',
      hint: 'register the view: POST /api/admin/matviews with {"viewName": "unregistered", "schema": "public"}',
    })
    const anonymous = await open.get(path, {token: null})
    const absent = await open.get(`${COLLECTIONS}/nothing`, {token: null})
    expect(anonymous.status).toBe(404)
    expect(anonymous.text).toBe(absent.text.replaceAll('nothing', 'unregistered'))
    await server.post('/api/admin/matviews', {viewName: 'unregistered'})
    expect((await open.get(path, {token: null})).status).toBe(200)
  })

  test('of a view that is not registered are read with --all-views, also where ayb has no tables', async () => {
    const bare = await createTestDatabase()
    const own = await startServer(bare, ['--all-views'])
    expect((await own.get(`${COLLECTIONS}/leaderboard`)).json()).toMatchObject({totalItems: 50})
    expect((await own.get(`${COLLECTIONS}/users`)).json()).toMatchObject({code: 'VIEW_NOT_FOUND'})
    await stopServers([own])
  })

  test('of a role without the right are refused with the GRANT', async () => {
    const role = await (await createTestDatabase()).createRole('stranger')
    const own = await startServer({url: role.url}, ['--all-views'])
    const answer = await own.get(`${COLLECTIONS}/leaderboard`)
    expect(answer.status).toBe(403)
    expect(answer.json()).toMatchObject({
      code: 'PERMISSION_DENIED',
      hint: `GRANT SELECT ON public.leaderboard TO ${role.name};`,
    })
    await stopServers([own])
  })

  test('are read with the rights of the login in AYB_COLLECTIONS_URL, which is looked at again each time', async () => {
    const mallory = await db.createRole('mallory')
    const login = await db.createRole('reader')
    await db.query(
      `create materialized view theirs as select 1 as id; alter materialized view theirs owner to ${mallory.name}`,
    )
    await server.post('/api/admin/matviews', {viewName: 'theirs'})
    const path = `${COLLECTIONS}/theirs`
    expect((await server.get(path)).json()).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining(`the view belongs to ${mallory.name}`),
      hint: expect.stringContaining('AYB_COLLECTIONS_URL'),
    })

    const own = await startServer(db, [], {env: {AYB_COLLECTIONS_URL: login.url}})
    expect((await own.get(path)).json()).toMatchObject({
      hint: `GRANT SELECT ON public.theirs TO ${login.name};`,
    })
    await db.query(`grant select on theirs to ${login.name}`)
    expect((await own.get(path)).json()).toMatchObject({items: [{id: 1}]})
    await db.query('create materialized view unregistered_too as select 1 as id')
    const other = await own.get(`${COLLECTIONS}/unregistered_too`)
    expect(other.json()).toMatchObject({code: 'NOT_REGISTERED'})

    await db.query(`alter role ${login.name} createrole`)
    const refused = await own.get(path)
    expect(refused.status).toBe(403)
    expect(refused.json()).toMatchObject({
      message: expect.stringContaining('it may create roles (CREATEROLE)'),
    })
    expect((await own.get('/readyz')).status).toBe(200)
    await db.query(`alter role ${login.name} nocreaterole`)
    expect((await own.get(path)).status).toBe(200)
    await stopServers([own])
  })

  test.each([
    ['of a login that may do too much', 7, (url: string) => url, /it is a superuser/],
    ['of another database', 6, (url: string) => url.replace(/[^/]+$/, 'postgres'), /not to "/],
    ['that cannot be read', 6, () => 'postgres://[', /AYB_COLLECTIONS_URL/],
  ])('are not served at all with an AYB_COLLECTIONS_URL %s', async (_, exitCode, urlOf, message) => {
    const {stderr, code} = await ayb(['serve', '--listen', '127.0.0.1:0'], {
      url: db.url,
      env: {AYB_ADMIN_TOKEN: TOKEN, AYB_COLLECTIONS_URL: urlOf(db.url)},
    })
    expect(stderr).toMatch(message)
    expect(code).toBe(exitCode)
  })

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('take no %s', async (method) => {
    // The last one fits into no buffer of a socket.
    for (const body of [undefined, {id: 1}, '{"broken', 'x'.repeat(2 * 1024 * 1024)]) {
      const answer = await server.ask(method, `${COLLECTIONS}/leaderboard`, {body})
      expect(answer.status).toBe(405)
      expect(answer.headers.allow).toBe('GET, HEAD')
      expect(answer.json()).toEqual({
        code: 'METHOD_NOT_ALLOWED',
        message: 'write operations not allowed on materialized_view',
        hint: null,
      })
    }
  })

  test.each([
    {what: 'without a token', path: '/api/admin/matviews', token: '', status: 401},
    {what: 'to a view', path: `${COLLECTIONS}/leaderboard`, token: TOKEN, status: 405},
    {what: 'that is too large', path: '/api/admin/matviews', token: TOKEN, status: 413},
  ])(
    'answer a client that reads nothing before its whole body $what is sent',
    async ({path, token, status}) => {
      const socket = await openSocket(server.origin)
      const pieces = 32
      const piece = Buffer.alloc(64 * 1024, 'x')
      const head = [
        `POST ${path} HTTP/1.1`,
        'host: localhost',
        `authorization: Bearer ${token}`,
        'content-type: application/json',
        `content-length: ${pieces * piece.length}`,
        'connection: close',
      ]
      socket.write(`${head.join('\r\n')}\r\n\r\n`)
      // Time for a server that answers at once and hangs up.
      await setTimeout(300)
      for (let sent = 0; sent < pieces && !socket.destroyed; sent++) {
        if (!socket.write(piece)) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
      }
      let text = ''
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      if (!socket.destroyed) await once(socket, 'close')
      expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
      expect(text).toMatch(/\}$/)
    },
  )

  test('need the token', async () => {
    for (const token of [null, '', `${TOKEN}x`]) {
      for (const method of ['GET', 'HEAD', 'DELETE']) {
        const answer = await server.ask(method, `${COLLECTIONS}/leaderboard`, {token})
        expect(answer.status).toBe(401)
        expect(answer.headers['www-authenticate']).toContain('Bearer')
      }
    }
    expect((await server.get(`${COLLECTIONS}/nothing`, {token: null})).status).toBe(401)
  })

  test('need none with --public-collections, and the rest still does', async () => {
    const answer = await open.get(`${COLLECTIONS}/leaderboard`, {token: null})
    expect(answer.status).toBe(200)
    expect(answer.json()).toMatchObject({totalItems: 50})
    expect((await open.get(`${COLLECTIONS}/users`, {token: null})).status).toBe(404)
    expect((await open.ask('DELETE', `${COLLECTIONS}/leaderboard`, {token: null})).status).toBe(405)
    expect((await open.get('/api/admin/matviews', {token: null})).status).toBe(401)
  })

  test('are described', async () => {
    type Described = {paths: Record<string, Record<string, {security?: object[]}>>}
    const path = `${COLLECTIONS}/{view}`
    const described = (await server.get('/api/openapi.json')).json<Described>().paths[path]
    expect(described?.get).toMatchObject({security: [{token: []}], tags: ['Collections']})
    expect((await open.get('/api/openapi.json')).json<Described>().paths[path]?.get?.security).toBeUndefined()
  })

  test('are no longer read for a client that went away, and nobody else waits for them', async () => {
    // Sessions are kept: those that wait then begin together.
    await Promise.all(Array.from({length: 32}, () => open.get(`${COLLECTIONS}/leaderboard`)))
    const holder = await db.connect()
    await holder.query('begin; refresh materialized view leaderboard')
    /** The readers that wait, and for how long the first of them has; both null where there is none. */
    const waiting = async () => {
      const [row] = await db.query<{pids: number[] | null; seconds: number | null}>(
        `select array_agg(pid order by pid) as pids,
                extract(epoch from clock_timestamp() - min(query_start))::float8 as seconds
           from pg_stat_activity
          where wait_event_type = 'Lock' and application_name = 'ayb serve' and datname = current_database()`,
      )
      return row ?? {pids: null, seconds: null}
    }
    const gone = new AbortController()
    const requests = Array.from({length: 8}, () =>
      fetch(`${open.origin}${COLLECTIONS}/leaderboard`, {signal: gone.signal}).catch((error) => error.name),
    )
    const seconds = await until(
      async () => {
        const {pids, seconds} = await waiting()
        return pids?.length === 8 && seconds
      },
      {what: 'all readers to wait', timeoutMs: 30_000},
    )
    const seenAt = performance.now()
    expect((await open.get('/readyz', {token: null})).status).toBe(200)
    expect((await open.get('/api/admin/matviews')).status).toBe(200)
    gone.abort()
    expect(new Set(await Promise.all(requests))).toEqual(new Set(['AbortError']))
    await until(async () => (await waiting()).pids === null, {what: 'the readers to be canceled'})
    // By itself not even the first would have ended: the lock timeout is 10 s.
    expect(seconds + (performance.now() - seenAt) / 1000).toBeLessThan(10)
    await holder.query('rollback')
    expect((await open.get(`${COLLECTIONS}/leaderboard`)).status).toBe(200)
  })
})
