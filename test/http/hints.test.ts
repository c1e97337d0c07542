import {beforeAll, describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {createGatedView, untilRefreshing} from '../support/refresh.ts'
import {openSocket, type RunningServer, startServer, stopServers, untilLogged} from '../support/serve.ts'

const ADMIN = '/api/admin'
const ID = '550e8400-e29b-41d4-a716-446655440000'
/** Nobody who reads an answer of the API has a command line of ayb at hand. */
const COMMAND_LINE = /--[a-z]|\bayb (matviews|schedules|jobs|worker|serve|migrate)|for the shell|DEBUG=/

/** Every text under `hint` or `message`, however deep. */
function wordsIn(document: unknown): string[] {
  if (typeof document !== 'object' || document === null) return []
  return Object.entries(document).flatMap(([key, value]) =>
    typeof value === 'string' ? (key === 'hint' || key === 'message' ? [value] : []) : wordsIn(value),
  )
}

function expectForHttp(document: unknown): void {
  const words = wordsIn(document)
  expect(words).not.toEqual([])
  // The name of a session in the way is that of a command.
  for (const text of words) expect(text.replace(/pid \d+ \(.*?\)/g, 'pid')).not.toMatch(COMMAND_LINE)
}

const schedule = (more: object) => ({
  name: 'nightly',
  cronExpr: '@daily',
  payload: {view_name: 'leaderboard'},
  ...more,
})

describe('no message and no hint names a command or a flag', () => {
  let db: TestDatabase
  let server: RunningServer

  beforeAll(async () => {
    db = await createTestDatabase()
    server = await startServer(db)
    await db.query(`create materialized view "no rows" as select 1 as id with no data;
                    create materialized view unindexed as select 1 as id;
                    create materialized view before as select 1 as id;
                    create materialized view unregistered as select 1 as id`)
    for (const viewName of ['leaderboard', '"no rows"', 'unindexed', 'before'])
      expect((await server.post(`${ADMIN}/matviews`, {viewName})).status).toBe(201)
    await db.query('alter materialized view before rename to behind')
    expect((await server.post(`${ADMIN}/schedules`, schedule({}))).status).toBe(201)
    await db.query(`insert into _ayb_jobs (id, type, state, payload)
                    values ('${ID}', 'materialized_view_refresh', 'completed', '{"view_name": "leaderboard"}')`)
    return () => stopServers([server])
  })

  test.each([
    ['an id that no view has', 'GET', `/matviews/${ID}`, undefined, 'NOT_REGISTERED'],
    ['a view that is not registered', 'GET', '/matviews/unregistered', undefined, 'NOT_REGISTERED'],
    ['the new name of a view', 'POST', '/matviews/behind/refresh', undefined, 'NOT_REGISTERED'],
    ['the old name of a view', 'POST', '/matviews/before/refresh', undefined, 'VIEW_NOT_FOUND'],
    ['a view that does not exist', 'POST', '/matviews', {viewName: 'qqqqqqqq'}, 'VIEW_NOT_FOUND'],
    ['a view that is registered', 'POST', '/matviews', {viewName: 'leaderboard'}, 'ALREADY_REGISTERED'],
    ['a name without quotes', 'POST', '/matviews', {viewName: 'no rows'}, 'INVALID_IDENTIFIER'],
    ['a name with a dot', 'POST', '/matviews', {viewName: 'public.x'}, 'INVALID_IDENTIFIER'],
    ['a name with two dots', 'GET', '/matviews/a.b.c', undefined, 'INVALID_IDENTIFIER'],
    ['a body with another field', 'POST', '/matviews', {view: 'x'}, 'INVALID_ARGUMENT'],
    ['a view without rows', 'PUT', '/matviews/%22no rows%22', {refreshMode: 'concurrent'}, 'NOT_POPULATED'],
    [
      'a view without index',
      'PUT',
      '/matviews/unindexed',
      {refreshMode: 'concurrent'},
      'UNIQUE_INDEX_REQUIRED',
    ],
    ['a schedule that does not exist', 'GET', '/schedules/qqqqqqqq', undefined, 'SCHEDULE_NOT_FOUND'],
    ['a name that is taken', 'POST', '/schedules', schedule({}), 'SCHEDULE_EXISTS'],
    ['an empty name', 'POST', '/schedules', schedule({name: ' '}), 'INVALID_ARGUMENT'],
    ['a name with a control character', 'POST', '/schedules', schedule({name: 'a\tb'}), 'INVALID_ARGUMENT'],
    ['a name like an id', 'POST', '/schedules', schedule({name: ID}), 'INVALID_ARGUMENT'],
    ['a bad cron expression', 'POST', '/schedules', schedule({cronExpr: '* *'}), 'INVALID_ARGUMENT'],
    ['a bad time zone', 'POST', '/schedules', schedule({timezone: '+01:00'}), 'INVALID_ARGUMENT'],
    ['a payload without view', 'POST', '/schedules', schedule({payload: {}}), 'INVALID_ARGUMENT'],
    [
      'a payload without schema',
      'PUT',
      '/schedules/nightly',
      {payload: {schema: 1, view_name: 'x'}},
      'INVALID_ARGUMENT',
    ],
    ['another type of job', 'POST', '/schedules', schedule({jobType: 'vacuum'}), 'INVALID_ARGUMENT'],
    [
      'a number that is too long',
      'POST',
      '/schedules',
      '{"name": 1234567890123456789012}',
      'INVALID_ARGUMENT',
    ],
    ['JSON that is too deep', 'POST', '/schedules', '['.repeat(9000) + ']'.repeat(9000), 'INVALID_ARGUMENT'],
    ['what is no id of a job', 'GET', '/jobs/7', undefined, 'INVALID_ARGUMENT'],
    ['a job that does not exist', 'GET', `/jobs/${ID.replace('5', '6')}`, undefined, 'JOB_NOT_FOUND'],
    ['a job that cannot be retried', 'POST', `/jobs/${ID}/retry`, undefined, 'JOB_STATE_CONFLICT'],
    ['a job that cannot be canceled', 'POST', `/jobs/${ID}/cancel`, undefined, 'JOB_STATE_CONFLICT'],
    ['a route that does not exist', 'GET', '/nothing', undefined, 'NOT_FOUND'],
    [
      'a collection that is not registered',
      'GET',
      '/../collections/unregistered',
      undefined,
      'NOT_REGISTERED',
    ],
    ['a collection that does not exist', 'GET', '/../collections/qqqqqqqq', undefined, 'VIEW_NOT_FOUND'],
    ['a collection without rows', 'GET', '/../collections/%22no rows%22', undefined, 'NOT_POPULATED'],
    [
      'a column that does not exist',
      'GET',
      '/../collections/leaderboard?nothing=1',
      undefined,
      'INVALID_ARGUMENT',
    ],
    ['a page of the past', 'GET', '/../collections/leaderboard?page=0', undefined, 'INVALID_ARGUMENT'],
  ] as const)('about %s: %s %s', async (_what, method, path, body, code) => {
    const url = `${ADMIN}${path}`.replace('/admin/..', '').replace(' ', '%20')
    const answer = (await server.ask(method, url, {body})).json()
    expect(answer).toMatchObject({code})
    expectForHttp(answer)
  })

  test('about what keeps a view from concurrent mode', async () => {
    const answer = (await server.get(`${ADMIN}/matviews/discover`)).json<{items: {viewName: string}[]}>()
    expectForHttp(answer)
    expect(answer.items.find(({viewName}) => viewName === 'no rows')).toMatchObject({
      concurrentBlockers: [
        {code: 'NOT_POPULATED', hint: 'REFRESH MATERIALIZED VIEW "public"."no rows";'},
        {code: 'UNIQUE_INDEX_REQUIRED'},
      ],
    })
  })

  test('in the log, about what a request warns of', async () => {
    const never = ID.replace('5', '7')
    await db.query(`insert into _ayb_jobs (id, type, state, run_at, payload)
                    values ('${never}', 'materialized_view_refresh', 'queued', 'infinity', '{"view_name": "leaderboard"}')`)
    expect((await server.get(`${ADMIN}/jobs/${never}`)).status).toBe(200)
    await untilLogged(server, ({msg}) => msg.includes('a time that never comes'), 'the warning')
    expect((await server.delete(`${ADMIN}/matviews/leaderboard`)).status).toBe(204)
    await untilLogged(server, ({msg}) => msg.includes('will register the view again'), 'the warning')
    const warnings = server.logs().flatMap(({level, msg}) => (level === 'warn' ? [msg] : []))
    for (const warning of warnings) expect(warning).not.toMatch(COMMAND_LINE)
    expect(warnings).toEqual(
      expect.arrayContaining([
        `the job is queued for a time that never comes; to be rid of it: POST /api/admin/jobs/${never}/cancel`,
        'the schedule nightly is enabled and will register the view again; to stop that: PUT /api/admin/schedules/nightly with {"enabled": false}',
      ]),
    )
    expect((await server.post(`${ADMIN}/matviews`, {viewName: 'leaderboard'})).status).toBe(201)
  })

  test('about a refresh that is under way, or that the end of the server cancels', async () => {
    const gate = await createGatedView(db, 'gated')
    const own = await startServer(db, ['--shutdown-timeout', '0s'])
    await gate.close()
    const canceled = own.post(`${ADMIN}/matviews/gated/refresh`)
    await untilRefreshing(db, 'gated')
    for (const each of [own, server]) {
      const refused = (await each.post(`${ADMIN}/matviews/gated/refresh`)).json()
      expect(refused).toMatchObject({code: 'REFRESH_IN_PROGRESS'})
      expectForHttp(refused)
    }
    await stopServers([own])
    const answer = (await canceled).json()
    expect(answer).toMatchObject({code: 'CANCELED'})
    expectForHttp(answer)
    await gate.open()
  })

  test('about what is no HTTP, another Host, or no token', async () => {
    const socket = await openSocket(server.origin)
    socket.end('hello\r\n\r\n')
    let text = ''
    for await (const chunk of socket.setEncoding('utf8')) text += chunk
    expectForHttp(JSON.parse(text.slice(text.indexOf('{'))))
    const host = (await server.get('/healthz', {headers: {host: 'evil.example'}})).json()
    expect(host).toMatchObject({code: 'HOST_NOT_ALLOWED'})
    expectForHttp(host)
    expectForHttp((await server.get(`${ADMIN}/matviews`, {token: null})).json())
  })
})

describe('no message and no hint names a command or a flag, where the database', () => {
  const whatHappens: [string, string, (db: TestDatabase) => Promise<{url: string}>][] = [
    [
      'lets nobody create tables',
      'PERMISSION_DENIED',
      async (db) => {
        await db.query('revoke create on schema public from public')
        return db.createRole('clerk')
      },
    ],
    [
      'is read-only',
      'READ_ONLY',
      async (db) => {
        await db.query(`alter database ${db.name} set default_transaction_read_only = on`)
        return db
      },
    ],
    [
      'has a table without its columns',
      'INTERNAL',
      async (db) => {
        await db.query('create table _ayb_matview_refreshes (id uuid)')
        return db
      },
    ],
  ]

  test.each(whatHappens)('%s', async (_what, code, prepare) => {
    const db = await createTestDatabase()
    const server = await startServer(await prepare(db))
    const answer = (await server.post(`${ADMIN}/matviews`, {viewName: 'leaderboard'})).json()
    expect(answer).toMatchObject({code})
    expectForHttp(answer)
    await stopServers([server])
  })

  test('has a table of a stranger by now', async () => {
    const db = await createTestDatabase()
    const server = await startServer(db)
    const stranger = await db.createRole('stranger')
    await db.query(`create table _ayb_jobs (id uuid); alter table _ayb_jobs owner to ${stranger.name}`)
    const answer = (await server.post(`${ADMIN}/matviews`, {viewName: 'leaderboard'})).json()
    expect(answer).toMatchObject({
      code: 'UNTRUSTED_TABLE',
      hint: expect.stringContaining('AYB_TRUSTED_OWNER'),
    })
    expectForHttp(answer)
    await stopServers([server])
  })

  test('goes away', async () => {
    const db = await createTestDatabase()
    const server = await startServer(db)
    await db.drop()
    const answer = (await server.get(`${ADMIN}/matviews`)).json()
    expect(answer).toMatchObject({code: expect.stringMatching(/^CONNECTION_/)})
    expectForHttp(answer)
    await stopServers([server])
  })
})
