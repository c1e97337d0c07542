import {stripVTControlCharacters} from 'node:util'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import type {RefreshedSet} from '../../src/lib/records/refreshes.ts'
import {startAnswerProxy} from '../support/answer-proxy.ts'
import {startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {startPgBouncer} from '../support/pgbouncer.ts'
import {
  createGatedView,
  createRefresher,
  type Gate,
  leftBehind,
  register,
  runsOf,
  untilBlocked,
  untilGone,
  untilNothingIsLeft,
  untilRefreshing,
} from '../support/refresh.ts'
import {openTerminal} from '../support/terminal.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {createViewSet} from '../support/view-sets.ts'

let db: TestDatabase
let gate: Gate

beforeEach(async () => {
  db = await createTestDatabase({hasTables: true})
  gate = await createGatedView(db, 'gated')
})

afterEach(async () => {
  await gate.open()
  await db.drop()
})

/** Makes and registers a view that reads another one. */
async function createReader(view: string, parent: string): Promise<void> {
  await db.query(`create materialized view ${view} as select id, clock_timestamp() as stamp from ${parent}`)
  await register(db, view)
}

/** Takes away what the newest migration added. */
const OLDER_TABLES = `drop table _ayb_matview_states;
  alter table _ayb_matview_refresh_runs drop column lock_wait_ms;
  delete from _ayb_cli_migrations where version = 3`

const start = (args: string[], url = db.url) => startAyb(['matviews', 'refresh', ...args], {url})
const sessionsOfSets = async () => (await leftBehind(db)).filter(({what}) => what === 'ayb matviews refresh')
const viewsOf = ({refreshes}: RefreshedSet) =>
  refreshes.map(({registration, status}) => `${registration.viewName} ${status}`)
const memberOf = ({refreshes}: RefreshedSet, view: string) =>
  refreshes.find(({registration}) => registration.viewName === view)
const statusesOf = async (view: string) => (await runsOf(db, view)).map(({status}) => status)

describe('a signal in the middle of a set', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s cancels what runs, prints the document, and exits %i', async (signal, code) => {
    const other = await createGatedView(db, 'other')
    await createReader('below', 'gated')
    await gate.close()
    await other.close()
    const running = start(['--all', '--json'])
    await untilRefreshing(db, 'gated')
    await untilRefreshing(db, 'other')
    running.kill(signal)
    const result = await running.done
    await untilNothingIsLeft(db, 1000)
    await other.open()

    expect(result).toMatchObject({code, signal: null, stderr: ''})
    const document = result.json() as RefreshedSet
    expect(document.counts).toEqual({success: 0, unchanged: 0, error: 0, skipped: 0, canceled: 3})
    expect(memberOf(document, 'gated')).toMatchObject({
      registration: {lastRefreshStatus: null},
      startedAt: expect.any(String),
      error: {code: 'CANCELED', message: `canceled by ${signal}`},
    })
    expect(memberOf(document, 'below')).toMatchObject({startedAt: null, error: null, reason: null})
    expect(await statusesOf('gated')).toEqual(['canceled'])
    expect(await statusesOf('other')).toEqual(['canceled'])
    expect(await statusesOf('below')).toEqual([])
  })

  test.each([
    {what: 'ayb reads which view reads which', sql: '', lock: 'pg_depend in access exclusive'},
    {what: 'ayb upgrades its tables', sql: OLDER_TABLES, lock: '_ayb_matview_refresh_runs in share'},
  ])('while $what cancels the whole set', async ({sql, lock}) => {
    await db.query(sql)
    const keeper = await db.connect()
    await keeper.query(`begin; lock table ${lock} mode`)
    const running = start(['--all', '--json'])
    await untilBlocked(db, lock.split(' ')[0] as string)
    running.kill('SIGINT')
    const result = await running.done
    await keeper.query('rollback')
    expect(result).toMatchObject({code: 130, stderr: ''})
    const document = result.json() as RefreshedSet
    expect(document.counts).toEqual({success: 0, unchanged: 0, error: 0, skipped: 0, canceled: 1})
    expect(memberOf(document, 'gated')).toMatchObject({status: 'canceled', startedAt: null, error: null})
    await untilNothingIsLeft(db, 1000)
  })

  test('SIGKILL leaves no statement and no lock, and what had ended is recorded', async () => {
    await register(db, 'leaderboard')
    await createReader('below', 'gated')
    await gate.close()
    const running = start(['--all'])
    await running.waitForOutput(/leaderboard\tsuccess/)
    const pid = await untilRefreshing(db, 'gated')
    running.kill('SIGKILL')
    await running.done
    await untilGone(db, pid)
    await untilNothingIsLeft(db, PATIENCE_MS)
    expect(await statusesOf('leaderboard')).toEqual(['success'])
    expect(await statusesOf('gated')).toEqual([])
  })
})

test('of two sets over the same views one refreshes each, or both do, one after the other', async () => {
  await createReader('below', 'gated')
  await createReader('bottom', 'below')
  await gate.close()
  // With --wait, too: behind the gate, the set that waits may be the first to begin with `below`.
  const first = start(['--all', '--wait', '--json'])
  await untilRefreshing(db, 'gated')
  const refused = await start(['--all', '--json']).done
  const waiting = start(['--all', '--wait', '--json'])
  await until(
    async () => {
      const sessions = await db.query(
        `select from pg_stat_activity where datname = current_database() and query like '%pg_advisory_lock%'
            and application_name = 'ayb matviews refresh'`,
      )
      return sessions.length > 0
    },
    {what: 'the set that waits to stand in line', timeoutMs: PATIENCE_MS},
  )
  await gate.open()
  const ended = await Promise.all([first.done, waiting.done])

  expect(refused.code).toBe(1)
  const document = refused.json() as RefreshedSet
  expect(viewsOf(document)).toEqual(['gated error', 'below skipped', 'bottom skipped'])
  expect(memberOf(document, 'gated')).toMatchObject({
    error: {code: 'REFRESH_IN_PROGRESS', status: 409},
    startedAt: null,
    durationMs: null,
    lockWaitMs: null,
  })
  for (const result of ended) {
    expect(result.code, result.stdout).toBe(0)
    expect((result.json() as RefreshedSet).counts.success).toBe(3)
  }
  for (const view of ['gated', 'below', 'bottom'])
    expect(await statusesOf(view)).toEqual(['success', 'success'])
})

test('a view that is dropped or unregistered in the middle fails alone, with the views below it', async () => {
  for (const view of ['dropped', 'dropper', 'forgotten', 'forgotten2', 'kept'])
    await createReader(view, 'gated')
  await createReader('below', 'forgotten')
  await gate.close()
  const running = start(['--all', '--json'])
  await untilRefreshing(db, 'gated')
  await db.query('drop materialized view dropped')
  await db.query(`delete from _ayb_matview_refreshes where view_name = 'forgotten'`)
  await gate.open()
  const result = await running.done
  expect(result.code).toBe(1)
  const document = result.json() as RefreshedSet
  expect(viewsOf(document)).toEqual([
    'gated success',
    'dropped error',
    'dropper success',
    'forgotten error',
    'forgotten2 success',
    'kept success',
    'below skipped',
  ])
  // Nobody has mistyped the names: the errors name no other view.
  expect(memberOf(document, 'dropped')).toMatchObject({
    registration: {lastRefreshStatus: 'error'},
    error: {code: 'VIEW_NOT_FOUND', hint: expect.stringContaining('ayb matviews discover')},
  })
  expect(memberOf(document, 'forgotten')).toMatchObject({
    error: {
      code: 'NOT_REGISTERED',
      message: 'materialized view public.forgotten is not registered',
      hint: 'ayb matviews register public.forgotten',
    },
  })
  expect(memberOf(document, 'below')).toMatchObject({reason: 'parent failed'})
})

test('views that read each other are refreshed, with a warning', async () => {
  await db.query(`create view seen as select 1 as id; create materialized view mirror as select id from seen;
                  create materialized view image as select id from mirror;
                  create or replace view seen as select id from image`)
  for (const view of ['mirror', 'image']) await register(db, view)
  const result = await start(['--all', '--json']).done
  expect(result.code, result.stdout).toBe(0)
  expect(result.json() as RefreshedSet).toMatchObject({
    counts: {success: 3},
    warnings: [expect.stringMatching(/^public\.image and public\.mirror read each other/)],
  })
})

describe('a session of a set', () => {
  test('that is lost costs one view', async () => {
    const other = await createGatedView(db, 'other')
    await createReader('below', 'gated')
    await createReader('beside', 'other')
    await gate.close()
    await other.close()
    const running = start(['--all', '--json'])
    const pid = await untilRefreshing(db, 'gated')
    await untilRefreshing(db, 'other')
    await db.query('select pg_terminate_backend($1)', [pid])
    await untilGone(db, pid)
    await other.open()
    const result = await running.done
    expect(result.code).toBe(1)
    const document = result.json() as RefreshedSet
    expect(viewsOf(document)).toEqual(['gated error', 'other success', 'below skipped', 'beside success'])
    expect(memberOf(document, 'gated')?.error).toMatchObject({code: 'CONNECTION_LOST'})
    expect(await statusesOf('gated')).toEqual(['error'])
  })

  test('that is lost between two views costs none', async () => {
    await createReader('below', 'gated')
    let isLost = false
    const proxy = await startAnswerProxy(db, (bytes, client) => {
      // What makes a session ready for the next view.
      const isReady = bytes.includes('DISCARD TEMP')
      if (isReady && !isLost) client.destroy()
      else client.write(bytes)
      isLost ||= isReady
    })
    const url = new URL(db.url)
    url.hostname = '127.0.0.1'
    url.port = String(proxy.port)
    const result = await start(['--all', '--json'], url.href).done
    await proxy.close()
    expect(isLost).toBe(true)
    expect(result.code, result.stdout).toBe(0)
    expect(viewsOf(result.json() as RefreshedSet)).toEqual(['gated success', 'below success'])
    expect(await statusesOf('below')).toEqual(['success'])
  })

  test('that cannot be had while the way to the server is broken is waited for', async () => {
    const pooler = await startPgBouncer(db, {poolMode: 'transaction'})
    await register(db, 'leaderboard')
    await createReader('below', 'gated')
    await gate.close()
    const running = start(['--all', '--concurrency', '1', '--json'], pooler.url)
    await untilRefreshing(db, 'gated')
    await pooler.kill()
    await gate.open()
    await pooler.restart()
    const result = await running.done
    expect(result.code).toBe(1)
    const document = result.json() as RefreshedSet
    expect(viewsOf(document)).toEqual(['gated error', 'leaderboard success', 'below skipped'])
    expect(memberOf(document, 'gated')?.error).toMatchObject({code: 'CONNECTION_LOST'})
  })

  test('that cannot be opened makes the set use fewer', async () => {
    const role = await createRefresher(db, 'narrow')
    await createReader('below', 'gated')
    for (const view of ['one', 'two', 'three']) {
      await db.query(`create materialized view ${view} as select 1 as id, pg_sleep(0.3)::text as slept`)
      await register(db, view)
    }
    for (const view of ['gated', 'below', 'one', 'two', 'three']) {
      await db.query(`alter materialized view ${view} owner to ${role.name}`)
    }
    await db.query(`alter role ${role.name} connection limit 2`)
    const result = await start(['--all', '--json'], role.url).done
    expect(result.code, result.stdout).toBe(0)
    const {counts, warnings} = result.json() as RefreshedSet
    expect(counts.success).toBe(5)
    expect(warnings).toEqual([
      expect.stringMatching(/^fewer views are refreshed at once, because no more sessions/),
    ])
  })

  test('is opened while the view above runs, if that usually takes no longer than seconds', async () => {
    for (const view of ['one', 'two', 'three']) await createReader(view, 'gated')
    await start(['gated']).done
    await gate.close()
    const running = start(['--all', '--json'])
    await untilRefreshing(db, 'gated')
    await until(async () => (await sessionsOfSets()).length >= 3, {
      what: 'sessions for the views that follow',
      timeoutMs: PATIENCE_MS,
    })
    await gate.open()
    expect(await running.done).toMatchObject({code: 0})
    expect(await sessionsOfSets()).toEqual([])
  })

  test('is kept for the next view, without the locks that a view has taken', async () => {
    await db.query(
      `create function take_lock() returns int language sql as $$ select 1 from (select pg_advisory_lock(77)) l $$;
       create materialized view a_taker as select public.take_lock() as id with no data`,
    )
    await register(db, 'a_taker')
    await gate.close()
    const running = start(['a_taker', 'gated', '--concurrency', '1'])
    await running.waitForOutput(/taker\tsuccess/)
    await untilRefreshing(db, 'gated')
    const locks = await db.query(
      `select from pg_locks where locktype = 'advisory' and objid = 77
          and database = (select oid from pg_database where datname = current_database())`,
    )
    const sessions = await sessionsOfSets()
    await gate.open()
    expect(await running.done).toMatchObject({code: 0})
    expect(locks).toEqual([])
    expect(sessions).toHaveLength(1)
  })
})

test('each refresh of a set is announced, the last one, too', async () => {
  await createReader('below', 'gated')
  const listener = await db.connect()
  let announced = 0
  listener.on('notification', () => announced++)
  await listener.query('listen ayb_cli_refreshed')
  expect(await start(['--all']).done).toMatchObject({code: 0})
  await listener.query('select 1')
  expect(announced).toBe(2)
})

test.each([
  ['transaction', 20],
  ['transaction', 2],
  ['session', 2],
] as const)(
  'a set runs behind a pooler in %s mode with %i server connections',
  async (poolMode, poolSize) => {
    const pooled = await createTestDatabase({hasTables: true})
    const set = await createViewSet(pooled, ['a > b > d > e', 'a > c > d', 'a > f', 'g'], {sleepMs: 50})
    const pooler = await startPgBouncer(pooled, {poolMode, poolSize})
    const number = await set.change()
    const result = await start(['--all', '--json'], pooler.url).done
    expect(result.code, result.stdout).toBe(0)
    const document = result.json() as RefreshedSet
    expect(document.counts.success).toBe(7)
    // No view waits for a session of its own while another session is free: that would take 10 s.
    expect(document.durationMs).toBeLessThan(9000)
    expect(new Set(Object.values(await set.values()))).toEqual(new Set([number]))
    await set.breakView('b')
    const failing = await start(['--all', '--json'], pooler.url).done
    expect(failing.code).toBe(1)
    expect((failing.json() as RefreshedSet).counts).toMatchObject({success: 4, error: 1, skipped: 2})
    const locks = (await leftBehind(pooled)).filter(({what}) => what === 'lock')
    expect(locks).toEqual([])
  },
)

test('views that a small pool leaves without a connection for long run when others have ended', async () => {
  const pooled = await createTestDatabase({hasTables: true})
  const views = ['a', 'b', 'c', 'd', 'e']
  const gates = await Promise.all(views.map((view) => createGatedView(pooled, view)))
  for (const closed of gates) await closed.close()
  const pooler = await startPgBouncer(pooled, {poolMode: 'transaction', poolSize: 2})
  const running = start(['--all', '--json'], pooler.url)
  // ayb takes a connection for dead whose statement has no answer for 15 s.
  await until(
    async () => {
      const refreshing = await pooled.query(
        `select from pg_stat_activity
          where datname = current_database() and state = 'active' and query ~ 'refresh materialized view [^;]*"'
            and pid <> pg_backend_pid() and clock_timestamp() - query_start > interval '17 s'`,
      )
      return refreshing.length === 2
    },
    {what: 'two refreshes to run for 17 s', timeoutMs: 60_000},
  )
  for (const closed of gates) await closed.open()
  const result = await running.done
  expect(result.code, result.stdout).toBe(0)
  const document = result.json() as RefreshedSet
  expect(document.counts.success).toBe(5)
  // On a busy machine the refreshes have run for 17 s before the other sessions have waited for 15 s.
  const others = document.warnings.filter(
    (text) => !/^fewer views are refreshed at once, because /.test(text),
  )
  expect(others).toEqual([])
  for (const view of views) {
    const runs = await runsOf(pooled, view)
    expect(runs.map(({status}) => status)).toEqual(['success'])
  }
  expect((await leftBehind(pooled)).filter(({what}) => what === 'lock')).toEqual([])
}, 90_000)

test('a terminal shows the views that run, a bar, then a table', async () => {
  const other = await createGatedView(db, 'other')
  await createReader('below', 'gated')
  await gate.close()
  await other.close()
  const terminal = openTerminal(['matviews', 'refresh', '--all'], {url: db.url, columns: 100})
  await terminal.waitFor(/Refreshing public\.gated {2}\d+\.\d s[\s\S]*Refreshing public\.other[\s\S]* 0 of 3/)
  await other.open()
  await terminal.waitFor(/ 1 of 3/)
  await gate.open()
  const {code, output} = await terminal.done
  expect(code).toBe(0)
  const shown = stripVTControlCharacters(output)
  expect(shown).toMatch(
    /VIEW +STATUS +DURATION\r\npublic\.gated +success +\d.*\r\npublic\.other +success .*\r\npublic\.below +success/,
  )
  expect(shown).toMatch(/\r\n3 views in \d.*: 3 success\r\n$/)
})
