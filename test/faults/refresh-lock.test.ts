import type pg from 'pg'
import {afterEach, beforeAll, describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createGatedView,
  createRefreshDatabase,
  errorOf,
  type Gate,
  registrationOf,
  runsOf,
  untilBlocked,
  untilNothingIsLeft,
  untilRefreshing,
} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

/** What any program must lock to refresh public.leaderboard. */
const LEADERBOARD_KEY = -1113789355
/** A wait of a second, and what a busy machine makes of it. */
const LONGEST_TRANSACTION_MS = 5000

let db: TestDatabase
let gate: Gate
/** A session of another program. */
let other: pg.Client
let otherPid: number

beforeAll(async () => {
  db = await createRefreshDatabase()
  gate = await createGatedView(db, 'gated')
  other = await db.connect()
  await other.query(`set application_name = 'night shift'`)
  otherPid = (await other.query('select pg_backend_pid() as pid')).rows[0].pid
})

// A test that fails must not keep its lock.
afterEach(async () => {
  await other.query('select pg_advisory_unlock_all()')
})

const start = (...args: string[]) => startAyb(['matviews', 'refresh', ...args], {url: db.url})
const refresh = (...args: string[]) => start(...args).done

const lockLeaderboard = () => other.query('select pg_advisory_lock($1)', [LEADERBOARD_KEY])
const unlockLeaderboard = () => other.query('select pg_advisory_unlock($1)', [LEADERBOARD_KEY])

interface SessionRow {
  pid: number
  state: string
  xact_start: Date | null
  backend_xmin: string | null
  backend_xid: string | null
  is_queuing: boolean
  transaction_ms: number | null
}

async function waitingSession(): Promise<SessionRow | undefined> {
  const rows = await db.query<SessionRow>(
    `select pid, state, xact_start, backend_xmin, backend_xid, query like '%pg_advisory_lock%' as is_queuing,
            (extract(epoch from clock_timestamp() - xact_start) * 1000)::float8 as transaction_ms
       from pg_stat_activity
      where datname = current_database() and application_name = 'ayb matviews refresh'`,
  )
  return rows.find((row) => row.is_queuing)
}

describe('two refreshes of one view', () => {
  test('one wins, the other is refused at once, names the winner and records nothing', async () => {
    await gate.close()
    const winner = start('gated', '--json')
    const pid = await untilRefreshing(db, 'gated')
    const loser = await refresh('gated', '--json')
    const inText = await refresh('gated')
    await gate.open()
    const won = await winner.done

    expect(loser.code).toBe(5)
    expect(errorOf(loser)).toMatchObject({
      code: 'REFRESH_IN_PROGRESS',
      status: 409,
      hint: expect.stringContaining('--wait'),
      details: {blockers: [{pid, applicationName: 'ayb matviews refresh', user: db.user}]},
    })
    expect(inText.code).toBe(5)
    expect(inText.stdout).toBe('')
    expect(inText.stderr).toContain('refresh already in progress')
    expect(inText.stderr).toMatch(new RegExp(`pid ${pid} .*ayb matviews refresh`))
    expect(won).toMatchObject({code: 0, stderr: ''})
    expect(await registrationOf(db, 'gated')).toMatchObject({
      last_refresh_status: 'success',
      last_refresh_error: null,
    })
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'success'}])
  })

  test('exclude each other across modes', async () => {
    await gate.close()
    const winner = start('gated', '--mode', 'concurrent')
    await untilRefreshing(db, 'gated')
    const loser = await refresh('gated')
    await gate.open()
    expect(loser.code).toBe(5)
    expect((await winner.done).code).toBe(0)
  })

  test('started together never both run, and never both fail', async () => {
    await gate.close()
    const both = [start('gated'), start('gated')]
    const first = await Promise.race(both.map((one) => one.done))
    await gate.open()
    const codes = (await Promise.all(both.map((one) => one.done))).map(({code}) => code)
    expect(first.code).toBe(5)
    expect(codes.sort()).toEqual([0, 5])
  })
})

describe('the lock', () => {
  test('of another program on hashtext of the name counts', async () => {
    const before = await registrationOf(db, 'leaderboard')
    await lockLeaderboard()
    const result = await refresh('leaderboard', '--json')
    await unlockLeaderboard()
    expect(result.code).toBe(5)
    expect(errorOf(result)).toMatchObject({
      message: expect.stringContaining(`pid ${otherPid} (night shift`),
      details: {blockers: [{pid: otherPid, applicationName: 'night shift', user: db.user}]},
    })
    expect(await registrationOf(db, 'leaderboard')).toEqual(before)
    expect(await runsOf(db, 'leaderboard')).toEqual([])
  })

  test('of a program that gives no name counts', async () => {
    await other.query(`set application_name = ''`)
    await lockLeaderboard()
    const result = await refresh('leaderboard', '--json')
    await unlockLeaderboard()
    await other.query(`set application_name = 'night shift'`)
    expect(result.code).toBe(5)
    expect(errorOf(result).details).toMatchObject({blockers: [{pid: otherPid, applicationName: null}]})
  })

  test('of another view or of another key space does not', async () => {
    await other.query('select pg_advisory_lock(0, $1)', [LEADERBOARD_KEY])
    await other.query('select pg_advisory_lock($1::bigint & 4294967295)', [LEADERBOARD_KEY])
    await other.query(`select pg_advisory_lock(hashtext('leaderboard'))`)
    const result = await refresh('leaderboard')
    await other.query('select pg_advisory_unlock_all()')
    expect(result.code).toBe(0)
  })

  test('is held on the server as one 64-bit advisory lock, and is gone afterwards', async () => {
    const reader = await db.connect()
    await reader.query('begin')
    await reader.query('select count(*) from leaderboard')
    const running = start('leaderboard')
    const pid = await untilBlocked(db, 'leaderboard')
    const locks = await db.query(
      `select classid::bigint as high, objid::bigint as low, objsubid, mode from pg_locks
        where locktype = 'advisory' and granted and pid = $1`,
      [pid],
    )
    // The key's sign fills the high half.
    expect(locks).toEqual([
      {high: '4294967295', low: String(2 ** 32 + LEADERBOARD_KEY), objsubid: 1, mode: 'ExclusiveLock'},
    ])
    await reader.query('commit')
    expect((await running.done).code).toBe(0)
    await untilNothingIsLeft(db, 2000)
  })
})

describe('--wait', () => {
  test('stands in line, for a second at a time, and then refreshes', async () => {
    const before = await runsOf(db, 'leaderboard')
    await lockLeaderboard()
    const running = start('leaderboard', '--wait', '--json')
    const {pid} = await until(waitingSession, {what: 'a session that stands in line for the lock'})
    const transactions = new Set<number>()
    await until(
      async () => {
        const session = await waitingSession()
        if (!session?.xact_start) return false
        expect(session).toMatchObject({pid, backend_xid: null})
        expect(session.transaction_ms).toBeLessThan(LONGEST_TRANSACTION_MS)
        transactions.add(session.xact_start.getTime())
        return transactions.size >= 3
      },
      {what: 'three tries', timeoutMs: PATIENCE_MS},
    )
    const [waits] = await db.query<{lock: string}>(
      `select locktype || ' ' || mode as lock from pg_locks where pid = $1 and not granted`,
      [pid],
    )
    expect(waits ?? {lock: 'advisory ExclusiveLock'}).toEqual({lock: 'advisory ExclusiveLock'})
    await unlockLeaderboard()
    const result = await running.done
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.json()).toMatchObject({registration: {lastRefreshStatus: 'success'}, warnings: []})
    expect(await runsOf(db, 'leaderboard')).toHaveLength(before.length + 1)
  })

  test('gets its turn where another session lets go of the lock for an instant only', async () => {
    await lockLeaderboard()
    const running = start('leaderboard', '--wait-timeout', '20s')
    await until(
      async () => {
        const {rows} = await other.query(
          'select pg_advisory_unlock($1), pg_try_advisory_lock($1) as is_locked_again',
          [LEADERBOARD_KEY],
        )
        return !rows[0].is_locked_again
      },
      {what: 'the refresh to have the lock', timeoutMs: PATIENCE_MS},
    )
    expect((await running.done).code).toBe(0)
  })

  test('does not wait where nobody refreshes', async () => {
    expect((await refresh('leaderboard', '--wait-timeout', '1ms')).code).toBe(0)
  })

  test('ends with --wait-timeout, says who was in the way, and records nothing', async () => {
    const before = {
      registration: await registrationOf(db, 'leaderboard'),
      runs: await runsOf(db, 'leaderboard'),
    }
    await lockLeaderboard()
    const startedAt = performance.now()
    const result = await refresh('leaderboard', '--wait-timeout', '300ms', '--json')
    const elapsedMs = performance.now() - startedAt
    await unlockLeaderboard()
    expect(result.code).toBe(8)
    expect(elapsedMs).toBeGreaterThanOrEqual(300)
    expect(errorOf(result)).toMatchObject({
      code: 'TIMEOUT',
      status: 504,
      message: expect.stringMatching(`wait timeout: after 300 ms, .*pid ${otherPid}`),
      hint: expect.stringContaining('--wait-timeout'),
      details: {timeout: 'wait', timeoutMs: 300, blockers: [{pid: otherPid}]},
    })
    expect(await registrationOf(db, 'leaderboard')).toEqual(before.registration)
    expect(await runsOf(db, 'leaderboard')).toEqual(before.runs)
    await untilNothingIsLeft(db, 2000)
  })

  test('can be ended by SIGINT, which records nothing', async () => {
    const before = {
      registration: await registrationOf(db, 'leaderboard'),
      runs: await runsOf(db, 'leaderboard'),
    }
    await lockLeaderboard()
    const running = start('leaderboard', '--wait')
    await until(waitingSession, {what: 'a session that stands in line for the lock'})
    running.kill('SIGINT')
    const result = await running.done
    await unlockLeaderboard()
    expect(result).toMatchObject({code: 130, stdout: '', stderr: 'Error: canceled by SIGINT\n'})
    expect(await registrationOf(db, 'leaderboard')).toEqual(before.registration)
    expect(await runsOf(db, 'leaderboard')).toEqual(before.runs)
    await untilNothingIsLeft(db, 2000)
  })
})

test('a view that hides its holder from this role is refused all the same', async () => {
  const role = await db.createRole('blind')
  await db.query(`grant select, insert, update on all tables in schema public to ${role.name}`)
  await lockLeaderboard()
  const result = await ayb(['matviews', 'refresh', 'leaderboard', '--json'], {url: role.url})
  await unlockLeaderboard()
  expect(result.code).toBe(5)
  expect(errorOf(result).message).toContain(`pid ${otherPid}`)
})

describe('what changes while a refresh waits', () => {
  const waiting = async () => {
    await other.query('select pg_advisory_lock($1)', [LEADERBOARD_KEY])
    const running = startAyb(['matviews', 'refresh', 'leaderboard', '--wait', '--json'], {url: db.url})
    await until(
      () =>
        db
          .query(
            `select from pg_stat_activity where application_name = 'ayb matviews refresh' and query like '%pg_advisory_lock%'`,
          )
          .then((rows) => rows.length > 0),
      {what: 'the refresh to wait', timeoutMs: 20_000},
    )
    return running
  }

  test('its mode counts', async () => {
    const running = await waiting()
    await db.query(
      `update _ayb_matview_refreshes set refresh_mode = 'concurrent' where view_name = 'leaderboard'`,
    )
    await other.query('select pg_advisory_unlock_all()')
    const {code} = await running.done
    expect(code).toBe(4)
    expect((await runsOf(db, 'leaderboard'))[0]).toMatchObject({refresh_mode: 'concurrent', status: 'error'})
    await db.query(
      `update _ayb_matview_refreshes set refresh_mode = 'standard' where view_name = 'leaderboard'`,
    )
  })

  test('a view that was unregistered is not refreshed', async () => {
    const running = await waiting()
    const before = await runsOf(db, 'leaderboard')
    await db.query(`delete from _ayb_matview_refreshes where view_name = 'leaderboard'`)
    await other.query('select pg_advisory_unlock_all()')
    const result = await running.done
    expect(result.code).toBe(3)
    expect(errorOf(result)).toMatchObject({code: 'NOT_REGISTERED'})
    expect(await runsOf(db, 'leaderboard')).toEqual(before)
    await untilNothingIsLeft(db, 5000)
  })
})
