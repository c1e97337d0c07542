import {beforeAll, describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createGatedView,
  createRefreshDatabase,
  errorOf,
  leftBehind,
  register,
  registrationOf,
  runsOf,
  serverVersion,
  untilRefreshing,
} from '../support/refresh.ts'

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

interface Document {
  registration: {lastRefreshAt: string; lastRefreshDurationMs: number; viewName: string; schemaName: string}
  durationMs: number
}

let db: TestDatabase

beforeAll(async () => {
  db = await createRefreshDatabase()
})

const refresh = (...args: string[]) => ayb(['matviews', 'refresh', ...args], {url: db.url})

async function addWorkout(userId: number): Promise<void> {
  await db.query('insert into workouts (user_id, duration_minutes) values ($1, 7)', [userId])
}

async function workoutCount(userId: number): Promise<number> {
  const [row] = await db.query<{count: number}>(
    'select workout_count::int as count from leaderboard where id = $1',
    [userId],
  )
  return (row as {count: number}).count
}

async function filenode(): Promise<unknown> {
  const [row] = await db.query(`select pg_relation_filenode('leaderboard') as node`)
  return row?.node
}

test('takes the longest timeout that there is: no timer in ayb counts on to what is too long for it', async () => {
  const result = await refresh('leaderboard', '--timeout', '35791m', '--wait-timeout', '35791m')
  expect(result, result.stderr).toMatchObject({code: 0})
})

describe('a standard refresh', () => {
  test('brings new data and answers with the registration as it is then', async () => {
    const id = (await registrationOf(db, 'leaderboard')).id
    const before = await workoutCount(1)
    await addWorkout(1)
    const startedAt = Date.now()
    const result = await refresh('leaderboard', '--json')

    expect(result).toMatchObject({code: 0, stderr: ''})
    const document = result.json() as Document
    expect(document).toEqual({
      registration: {
        id,
        schemaName: 'public',
        viewName: 'leaderboard',
        refreshMode: 'standard',
        lastRefreshAt: expect.stringMatching(INSTANT),
        lastRefreshDurationMs: document.durationMs,
        lastRefreshStatus: 'success',
        lastRefreshError: null,
        createdAt: expect.stringMatching(INSTANT),
        updatedAt: document.registration.lastRefreshAt,
        policy: null,
      },
      durationMs: expect.any(Number),
      warnings: [],
      lockWaitMs: 0,
      status: 'success',
      reason: null,
      checkedAt: null,
    })
    expect(Number.isInteger(document.durationMs)).toBe(true)
    expect(document.durationMs).toBeGreaterThanOrEqual(0)
    expect(document.durationMs).toBeLessThanOrEqual(Date.now() - startedAt)
    expect(await workoutCount(1)).toBe(before + 1)

    const registration = await registrationOf(db, 'leaderboard')
    expect(registration.last_refresh_at?.toISOString()).toBe(document.registration.lastRefreshAt)
    expect(registration).toMatchObject({
      last_refresh_status: 'success',
      last_refresh_duration_ms: document.durationMs,
    })
  })

  test('leaves a run with its duration and the size of the view', async () => {
    const document = (await refresh('leaderboard', '--json')).json() as Document
    const [run] = await runsOf(db, 'leaderboard')
    const [size] = await db.query(`select pg_total_relation_size('leaderboard') as bytes`)
    expect(run).toMatchObject({
      refresh_mode: 'standard',
      trigger: 'manual',
      job_id: null,
      worker_id: null,
      status: 'success',
      error: null,
      duration_ms: document.durationMs,
      size_bytes: size?.bytes,
    })
    const endedAt = (run?.started_at.getTime() ?? 0) + document.durationMs
    expect(Math.abs(endedAt - Date.parse(document.registration.lastRefreshAt))).toBeLessThanOrEqual(2)
  })

  test('says so in one line', async () => {
    const result = await refresh('public.leaderboard')
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.stdout).toMatch(/^Refreshed public\.leaderboard in \d+ ms\n$/)
  })

  test('clears the error of the refresh before', async () => {
    await db.query(
      `update _ayb_matview_refreshes set last_refresh_status = 'error', last_refresh_error = 'no luck'`,
    )
    expect((await refresh('leaderboard')).code).toBe(0)
    expect(await registrationOf(db, 'leaderboard')).toMatchObject({
      last_refresh_status: 'success',
      last_refresh_error: null,
    })
  })

  test('leaves no session and no lock', async () => {
    expect((await refresh('leaderboard')).code).toBe(0)
    await expect.poll(() => leftBehind(db)).toEqual([])
  })
})

describe('a concurrent refresh', () => {
  test('by --mode is for this once, and does not replace the files of the view', async () => {
    await db.query('create unique index if not exists leaderboard_id on leaderboard (id)')
    const [before, node] = [await workoutCount(2), await filenode()]
    await addWorkout(2)
    const document = (await refresh('leaderboard', '--mode', 'concurrent', '--json')).json()

    expect(document).toMatchObject({registration: {refreshMode: 'standard', lastRefreshStatus: 'success'}})
    expect(await workoutCount(2)).toBe(before + 1)
    expect(await filenode()).toBe(node)
    expect((await registrationOf(db, 'leaderboard')).refresh_mode).toBe('standard')
    expect((await runsOf(db, 'leaderboard'))[0]).toMatchObject({
      refresh_mode: 'concurrent',
      status: 'success',
    })
  })

  test('is what a registration in that mode gets, and --mode standard once is not', async () => {
    await db.query('create unique index if not exists leaderboard_id on leaderboard (id)')
    await db.query(
      `update _ayb_matview_refreshes set refresh_mode = 'concurrent' where view_name = 'leaderboard'`,
    )
    const node = await filenode()
    await addWorkout(3)
    expect((await refresh('leaderboard')).code).toBe(0)
    expect(await filenode()).toBe(node)

    expect((await refresh('leaderboard', '--mode', 'standard')).code).toBe(0)
    expect(await filenode()).not.toBe(node)
    expect((await registrationOf(db, 'leaderboard')).refresh_mode).toBe('concurrent')
    await db.query(`update _ayb_matview_refreshes set refresh_mode = 'standard'`)
  })
})

describe('the view', () => {
  test('can be given by the id of its registration', async () => {
    const {id} = await registrationOf(db, 'leaderboard')
    for (const typed of [id, id.toUpperCase()]) {
      const result = await refresh(typed, '--json')
      expect(result.json()).toMatchObject({registration: {id, lastRefreshStatus: 'success'}})
    }
  })

  test.each([
    ['weekly stats', 'public."weekly stats"'],
    ['Größe$1', 'Größe$1'],
    [`o'clock \\ "noon"`, `"o'clock \\ ""noon"""`],
    ['a.b', 'public."a.b"'],
  ])('can be called %s', async (name, typed) => {
    const quoted = `"${name.replaceAll('"', '""')}"`
    await db.query(`create materialized view ${quoted} as select clock_timestamp() as stamp`)
    await register(db, name)
    const before = await db.query(`select stamp from ${quoted}`)
    const result = await refresh(typed, '--json')
    expect(result.code).toBe(0)
    expect((result.json() as Document).registration).toMatchObject({schemaName: 'public', viewName: name})
    expect(await db.query(`select stamp from ${quoted}`)).not.toEqual(before)
    expect(await runsOf(db, name)).toMatchObject([{status: 'success'}])
  })

  test('can be in a schema whose name needs quotes', async () => {
    await db.query('create schema "Old Reports"')
    await db.query('create materialized view "Old Reports".leaderboard as select clock_timestamp() as stamp')
    await register(db, 'leaderboard', 'standard', 'Old Reports')
    const result = await refresh('"Old Reports".leaderboard', '--json')
    expect((result.json() as Document).registration).toMatchObject({schemaName: 'Old Reports'})
    await db.query(`delete from _ayb_matview_refreshes where schema_name = 'Old Reports'`)
  })

  test('must be registered: otherwise nothing is recorded, and the hint registers it', async () => {
    await db.query('create materialized view "new one" as select 1 as id')
    const error = errorOf(await refresh('"new one"', '--json'))
    expect(error).toMatchObject({
      code: 'NOT_REGISTERED',
      hint: `ayb matviews register 'public."new one"'`,
    })
    expect(await runsOf(db, 'new one')).toEqual([])
  })
})

describe('what the server sees', () => {
  test('is the command as application_name, and no password', async () => {
    const gate = await createGatedView(db, 'watched')
    await gate.close()
    const running = startAyb(['matviews', 'refresh', 'watched'], {url: db.url})
    const pid = await untilRefreshing(db, 'watched')
    const [session] = await db.query('select * from pg_stat_activity where pid = $1', [pid])
    expect(session?.application_name).toBe('ayb matviews refresh')
    expect(JSON.stringify(session)).not.toContain(db.password)
    await gate.open()
    expect((await running.done).code).toBe(0)
  })

  test('is a search_path for functions with bare names: the role’s own until 16', async () => {
    const owner = await db.createRole('searcher', {settings: {search_path: ['app', 'public']}})
    await db.query(`create schema app authorization ${owner.name}`)
    await db.query('create table app.facts as select 41 as n')
    await db.query(`create function app.bare() returns int language plpgsql as
                    $$ begin return (select n from facts); end $$`)
    await db.query('create materialized view app.bare_names as select app.bare() as n with no data')
    await db.query(`alter table app.facts owner to ${owner.name}`)
    await db.query(`alter materialized view app.bare_names owner to ${owner.name}`)
    await db.query(`grant select, insert, update on _ayb_matview_refreshes, _ayb_matview_refresh_runs,
                    _ayb_cli_migrations to ${owner.name}`)
    await register(db, 'bare_names', 'standard', 'app')
    const result = await ayb(['matviews', 'refresh', 'app.bare_names', '--json'], {url: owner.url})
    if ((await serverVersion(db)) < 170_000) {
      expect(result.code).toBe(0)
      expect(await db.query('select n from app.bare_names')).toEqual([{n: 41}])
    } else {
      expect(errorOf(result)).toMatchObject({code: 'REFRESH_FAILED', details: {sqlstate: '42P01'}})
    }
    expect(await runsOf(db, 'bare_names')).toHaveLength(1)
  })
})
