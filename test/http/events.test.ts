import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {listenTo} from '../support/events.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'
import {until} from '../support/until.ts'

const EVENTS = '/api/collections/leaderboard/events'
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase()
  await db.query('create materialized view unregistered as select 1 as id')
  server = await startServer(db)
  expect((await server.post('/api/admin/matviews', {viewName: 'leaderboard'})).status).toBe(201)
})

afterAll(async () => {
  await stopServers([server])
})

/** Refreshes the view with a command. Returns its last run. */
async function refreshByHand(
  view = 'leaderboard',
): Promise<{id: string; startedAt: string; durationMs: number}> {
  const done = await ayb(['matviews', 'refresh', view, '--json'], {url: db.url})
  expect(done.code, done.stdout).toBe(0)
  const history = await ayb(['matviews', 'history', view, '--limit', '1', '--json'], {url: db.url})
  return (history.json() as [never])[0]
}

/** What the server's sessions for notifications give for an expression. */
const forNotifications = (expression: string) =>
  db.query(
    `select ${expression} from pg_stat_activity
      where datname = current_database() and query like 'listen %ayb_cli_refreshed%'`,
  )

describe('listeners to a view', () => {
  test('are told at once of a refresh by a command, with the run and the moment of its end', async () => {
    const listener = await listenTo(server, 'public.leaderboard')
    expect(listener.answer.statusCode).toBe(200)
    expect(listener.answer.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
    })
    const run = await refreshByHand()
    const startedAt = performance.now()
    const [event] = await listener.untilEvents(1)
    expect(performance.now() - startedAt).toBeLessThan(5000)
    expect(event).toEqual({
      event: 'refreshed',
      id: run.id,
      data: {
        ...{schema: 'public', view: 'leaderboard', durationMs: run.durationMs},
        refreshedAt: expect.stringMatching(INSTANT),
      },
    })
    const endedAt = Date.parse(run.startedAt) + run.durationMs
    expect(Math.abs(Date.parse(event?.data.refreshedAt ?? '') - endedAt)).toBeLessThanOrEqual(2)
    listener.close()
  })

  test('are told of refreshes by a worker, of this view alone', async () => {
    await db.query('create materialized view other as select 1 as id')
    await ayb(['matviews', 'register', 'other'], {url: db.url})
    const listener = await listenTo(server, 'leaderboard')
    await refreshByHand('other')
    await ayb(['schedules', 'create', '--name', 'now', '--cron', '@yearly', '--view', 'leaderboard'], {
      url: db.url,
    })
    await ayb(['schedules', 'run', 'now'], {url: db.url})
    const worked = await ayb(['worker', '--once', '--json'], {url: db.url})
    expect(worked.json()).toMatchObject({succeeded: 1})
    const [event] = await listener.untilEvents(1)
    expect(event?.data.view).toBe('leaderboard')
    listener.close()
  })

  test('who come again are told at once of what they have missed, and of nothing else', async () => {
    const before = await refreshByHand()
    const missed = await refreshByHand()
    const late = await listenTo(server, 'leaderboard', {lastEventId: before.id})
    expect((await late.untilEvents(1)).map(({id}) => id)).toEqual([missed.id])
    const upToDate = await listenTo(server, 'leaderboard', {lastEventId: missed.id})
    const newcomer = await listenTo(server, 'leaderboard')
    const next = await refreshByHand()
    expect((await upToDate.untilEvents(1)).map(({id}) => id)).toEqual([next.id])
    expect((await newcomer.untilEvents(1)).map(({id}) => id)).toEqual([next.id])
    for (const listener of [late, upToDate, newcomer]) listener.close()
  })

  test('leave nothing open in the database when they have gone, and are told at once when they come back', async () => {
    const closed = async () => (await forNotifications('pid')).length === 0
    await until(closed, {what: 'the session for notifications to be closed'})
    for (const round of [1, 2]) {
      const listener = await listenTo(server, 'leaderboard')
      const opened = async () => (await forNotifications('pid')).length === 1
      await until(opened, {what: `the session for notifications of round ${round}`})
      listener.close()
      await until(closed, {what: 'the session for notifications to be closed'})
    }
  })

  test('are told although the session for notifications is lost', async () => {
    const listener = await listenTo(server, 'leaderboard')
    await until(async () => (await forNotifications('pg_terminate_backend(pid)')).length > 0, {
      what: 'the session for notifications',
    })
    const run = await refreshByHand()
    expect((await listener.untilEvents(1)).map(({id}) => id)).toEqual([run.id])
    listener.close()
  })
})

describe('nobody listens', () => {
  test('without the token, to a view that is not registered, or to none', async () => {
    expect((await server.get(EVENTS, {token: null})).status).toBe(401)
    expect((await server.get('/api/collections/unregistered/events')).json()).toMatchObject({
      code: 'NOT_REGISTERED',
    })
    expect((await server.get('/api/collections/nothing/events')).json()).toMatchObject({
      code: 'VIEW_NOT_FOUND',
    })
  })

  test('by another method than GET', async () => {
    for (const method of ['HEAD', 'POST', 'DELETE']) {
      const answer = await server.ask(method, EVENTS)
      expect(answer.status, method).toBe(405)
      expect(answer.headers.allow).toBe('GET')
    }
  })
})

test('two hundred listeners are all told, and end with the server, which does not wait for them', async () => {
  const crowded = await startServer(db, ['--public-collections'])
  const listeners = await Promise.all(
    Array.from({length: 200}, () => listenTo(crowded, 'leaderboard', {token: null})),
  )
  const run = await refreshByHand()
  for (const listener of listeners) {
    expect((await listener.untilEvents(1)).map(({id}) => id)).toEqual([run.id])
  }
  expect((await crowded.get('/readyz')).status).toBe(200)
  const startedAt = performance.now()
  crowded.kill()
  expect(await Promise.all(listeners.map(({ended}) => ended))).toEqual(listeners.map(() => true))
  expect((await crowded.done).code).toBe(0)
  // The shutdown timeout is 25 s.
  expect(performance.now() - startedAt).toBeLessThan(10_000)
})
