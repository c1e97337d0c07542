import {connect} from 'node:net'
import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {type RunningServer, startServer, stopServers, TOKEN} from '../support/serve.ts'

const ID = '550e8400-e29b-41d4-a716-446655440000'

/** Every route that wants the token. */
const GUARDED: [string, string][] = [
  ['GET', '/api/admin/matviews'],
  ['POST', '/api/admin/matviews'],
  ['GET', '/api/admin/matviews/discover'],
  ['GET', '/api/admin/matviews/discover/names'],
  ['GET', '/api/admin/matviews/discover/leaderboard'],
  ['GET', `/api/admin/matviews/${ID}`],
  ['PUT', `/api/admin/matviews/${ID}`],
  ['DELETE', `/api/admin/matviews/${ID}`],
  ['POST', `/api/admin/matviews/${ID}/refresh`],
  ['GET', `/api/admin/matviews/${ID}/history`],
  ['GET', '/api/admin/schedules'],
  ['POST', '/api/admin/schedules'],
  ['GET', '/api/admin/schedules/next?cronExpr=@hourly'],
  ['GET', `/api/admin/schedules/${ID}`],
  ['PUT', `/api/admin/schedules/${ID}`],
  ['DELETE', `/api/admin/schedules/${ID}`],
  ['POST', `/api/admin/schedules/${ID}/enable`],
  ['POST', `/api/admin/schedules/${ID}/disable`],
  ['POST', `/api/admin/schedules/${ID}/run`],
  ['GET', '/api/admin/jobs'],
  ['GET', '/api/admin/jobs/stats'],
  ['GET', `/api/admin/jobs/${ID}`],
  ['POST', `/api/admin/jobs/${ID}/retry`],
  ['POST', `/api/admin/jobs/${ID}/cancel`],
  ['GET', '/api/admin/export'],
  ['POST', '/api/admin/apply'],
  ['POST', `/api/admin/matviews/${ID}/tune`],
  ['GET', '/api/admin/nothing'],
  ['HEAD', '/api/admin/matviews'],
  ['OPTIONS', '/api/admin/matviews'],
  ['PATCH', `/api/admin/matviews/${ID}`],
  ['DELETE', '/api/admin/nothing'],
]

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase()
  server = await startServer(db)
})

describe('a request without the token', () => {
  test.each(GUARDED)('is refused: %s %s', async (method, path) => {
    const attempts = [
      {token: null},
      {token: 'a-token-for-tests-012345678x'},
      {token: TOKEN.slice(0, -1)},
      {token: `${TOKEN}0`},
      {token: null, headers: {authorization: `Basic ${Buffer.from(`x:${TOKEN}`).toString('base64')}`}},
      {token: null, headers: {authorization: TOKEN}},
      {token: null, headers: {cookie: `token=${TOKEN}`}},
    ]
    for (const attempt of attempts) {
      const answer = await server.ask(method, path, attempt)
      expect(answer.status).toBe(401)
      if (method !== 'HEAD') {
        expect(answer.json()).toEqual({
          code: 'UNAUTHORIZED',
          message: expect.stringMatching(/token/),
          hint: expect.stringContaining('Bearer'),
        })
      }
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer/)
    }
    expect((await server.get(`/api/admin/jobs?token=${TOKEN}`, {token: null})).status).toBe(401)
  })

  test('is refused before its body is read, and answers nothing of it', async () => {
    const answer = await server.post('/api/admin/matviews', 'x'.repeat(10), {token: null})
    expect(answer.status).toBe(401)
    expect(await db.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
  })
})

describe('a body', () => {
  test('over 1 MB is refused', async () => {
    const answer = await server.post('/api/admin/matviews', {viewName: 'x'.repeat(1_048_576)})
    expect(answer.status).toBe(413)
    expect(answer.json()).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      hint: expect.stringContaining('in parts'),
    })
  })

  test('with a name of a megabyte is refused at once, in 8 kB', async () => {
    const answer = await server.post('/api/admin/matviews', {viewName: 'x'.repeat(1_000_000)})
    expect(answer.status).toBe(400)
    const {code, message} = answer.json() as {code: string; message: string}
    expect(code).toBe('INVALID_IDENTIFIER')
    expect(message).toContain('[cut here: the text is longer than 8 kB]')
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(8192)
  })

  test('that is not JSON is refused', async () => {
    const answer = await server.post('/api/admin/matviews', 'viewName=x', {
      headers: {'content-type': 'application/x-www-form-urlencoded'},
    })
    expect(answer.status).toBe(415)
    expect(answer.json()).toMatchObject({code: 'UNSUPPORTED_MEDIA_TYPE'})
  })

  test.each(['', '{', 'null', '"x"', '[1]', '{"__proto__": {"viewName": "x"}}', '{"viewName": null}'])(
    'that is %j is refused',
    async (body) => {
      const answer = await server.post('/api/admin/matviews', body)
      expect(answer.status).toBe(400)
      expect(answer.json()).toMatchObject({code: 'INVALID_ARGUMENT', message: expect.stringMatching(/\S/)})
    },
  )
})

describe('an empty body', () => {
  test.each(['application/json', 'application/x-www-form-urlencoded', 'text/plain'])(
    'that is said to be %s is none, where none is needed',
    async (type) => {
      const answer = await server.post(`/api/admin/matviews/${ID}/refresh`, '', {
        headers: {'content-type': type},
      })
      expect(answer.status).toBe(404)
      expect(answer.json()).toMatchObject({code: 'NOT_REGISTERED'})
    },
  )
})

describe('names and parameters', () => {
  test('of 15 kB are refused in 8 kB, without the password in them', async () => {
    await server.post('/api/admin/matviews', {viewName: 'leaderboard'})
    const name = `${'x'.repeat(4050)}://ann:${'hunter2'.repeat(500)}@db${'x'.repeat(6000)}`
    const answer = await server.get(`/api/collections/public.leaderboard?${encodeURIComponent(name)}=1`)
    expect(answer.status).toBe(400)
    const {message} = answer.json() as {message: string}
    expect(message).toContain('[cut here: the text is longer than 8 kB]')
    expect(message).not.toContain('hunter')
  })

  const HOSTILE = [
    "x'; drop table users; --",
    '"; drop table users; --',
    '../../etc/passwd',
    '%00',
    '\u0000',
    '{{7*7}}',
    '$1',
    "' or '1'='1",
    'x'.repeat(400),
    '\ud800',
  ]

  test.each(HOSTILE)('that are %j are refused or not found, and change nothing', async (text) => {
    const word = encodeURIComponent(text.replace('\ud800', '\ufffd'))
    const answers = [
      await server.get(`/api/admin/matviews/${word}`),
      await server.get(`/api/admin/matviews?schema=${word}`),
      await server.get(`/api/admin/matviews/${word}/history`),
      await server.post(`/api/admin/matviews/${word}/refresh`),
      await server.delete(`/api/admin/matviews/${word}`),
      await server.get(`/api/admin/schedules/${word}`),
      await server.post(`/api/admin/schedules/${word}/run`),
      await server.get(`/api/admin/jobs/${word}`),
      await server.get(`/api/admin/jobs?schedule=${word}`),
      await server.get(`/api/admin/jobs?state=${word}`),
      await server.get(`/api/admin/schedules/next?cronExpr=${word}`),
      await server.post('/api/admin/matviews', {viewName: text}),
      await server.post('/api/admin/matviews', {viewName: 'leaderboard', schema: text}),
      await server.post('/api/admin/schedules', {name: 'x', cronExpr: text, payload: {view_name: 'x'}}),
      await server.post('/api/admin/schedules', {name: 'x', cronExpr: '@daily', payload: {view_name: text}}),
    ]
    for (const answer of answers) {
      expect([400, 404]).toContain(answer.status)
      expect(Object.keys(answer.json())).toEqual(['code', 'message', 'hint'])
      expect(answer.text).not.toMatch(/ {4}at |node_modules|syntax error/)
    }
    expect(await db.query('select count(*)::int as users from users')).not.toEqual([{users: 0}])
  })

  test.each([
    '/api/admin/matviews/%',
    '/api/admin/matviews/%E0%A4%A',
    '/nothing',
    '/api/../etc/passwd',
    '/api/admin/matviews/a/b/c',
  ])('in the path %s are refused', async (path) => {
    const answer = await server.get(path)
    expect([400, 404]).toContain(answer.status)
    expect(Object.keys(answer.json())).toEqual(['code', 'message', 'hint'])
  })
})

describe('what the database refuses by a rule of its own', () => {
  test('is 422 with its words and its hint, and described', async () => {
    const ruled = await createTestDatabase()
    await ruled.query(
      `create function no() returns event_trigger language plpgsql as
       $$ begin raise 'tables need a ticket' using hint = 'open a ticket'; end $$`,
    )
    await ruled.query('create event trigger no on ddl_command_start execute function no()')
    const own = await startServer(ruled)
    const answer = await own.post('/api/admin/matviews', {viewName: 'leaderboard'})
    expect(answer.status).toBe(422)
    expect(answer.json()).toEqual({
      code: 'DATABASE_REFUSED',
      message:
        "the database refused to create ayb's tables in schema public: tables need a ticket (SQLSTATE P0001)",
      hint: 'open a ticket',
    })
    const description = (await own.get('/api/openapi.json')).text
    for (const code of ['SERVER_RESOURCES', 'TRY_AGAIN', 'DATABASE_REFUSED'])
      expect(description).toContain(code)
    await stopServers([own])
  })
})

describe('answers', () => {
  test('are not cached, framed or sniffed', async () => {
    const {headers} = await server.get('/api/admin/matviews')
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none';frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
    })
    expect(headers['access-control-allow-origin']).toBeUndefined()
    expect(headers['x-powered-by']).toBeUndefined()
  })

  test('to what is no HTTP are an error, and the server goes on', async () => {
    const {port} = new URL(server.origin)
    const answered = await new Promise<string>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.end('hello\r\n\r\n'))
      let text = ''
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      socket.on('close', () => resolve(text))
      socket.on('error', () => {})
    })
    expect(answered).toMatch(/^HTTP\/1\.1 400/)
    expect((await server.get('/healthz', {token: null})).status).toBe(200)
  })
})

describe('ayb serve does not start', () => {
  const start = (args: string[], env: Record<string, string | undefined> = {}) =>
    ayb(['serve', ...args], {url: db.url, env: {AYB_ADMIN_TOKEN: TOKEN, ...env}})

  test.each([
    ['without a token', [], {AYB_ADMIN_TOKEN: undefined}, /AYB_ADMIN_TOKEN is not set/],
    ['with an empty token', [], {AYB_ADMIN_TOKEN: ''}, /AYB_ADMIN_TOKEN is not set/],
    ['with a short token', [], {AYB_ADMIN_TOKEN: '0123456789abcde'}, /fewer than 16/],
    ['with a token that no header carries', [], {AYB_ADMIN_TOKEN: '0123456789 abcdefgh'}, /characters/],
    ['on no address', ['--listen', 'nowhere'], {}, /--listen: "nowhere"/],
    ['on an address of others', ['--listen', '192.0.2.1:80'], {}, /cannot listen on 192\.0\.2\.1:80/],
    ['with --json', ['--json'], {}, /--json/],
    ['with a worker that is switched off', ['--worker'], {AYB_JOBS_ENABLED: 'false'}, /AYB_JOBS_ENABLED/],
  ])('%s', async (_how, args, env, message) => {
    const {code, stdout, stderr} = await start(args, env)
    expect(code).toBe(2)
    expect(`${stdout}${stderr}`).toMatch(message)
    expect(stdout).not.toMatch(/listening/)
  })

  test.each([[[]], [['--worker']]])('on a port that is taken, %j', async (more) => {
    const {code, stdout, stderr} = await start(['--listen', new URL(server.origin).host, ...more])
    expect(code).toBe(2)
    expect(stderr).toMatch(/cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/)
    expect(stdout).toBe('')
  })

  test('or stay, where its worker cannot work', async () => {
    const readOnly = await createTestDatabase()
    await readOnly.query(`alter database ${readOnly.name} set default_transaction_read_only = on`)
    const {code, stdout, stderr} = await ayb(['serve', '--worker', '--listen', '127.0.0.1:0'], {
      url: readOnly.url,
      env: {AYB_ADMIN_TOKEN: TOKEN},
    })
    expect(code).toBe(6)
    expect(stderr).toMatch(/^Error: the sessions of this role are read-only/)
    expect(stdout).toMatch(/"msg":"stopped"/)
  })

  test('without a database', async () => {
    const {code, stderr} = await ayb(['serve'], {
      url: 'postgres://nobody@127.0.0.1:1/nothing',
      env: {AYB_ADMIN_TOKEN: TOKEN},
    })
    expect(code).toBe(6)
    expect(stderr).toMatch(/^Error: /)
  })
})
