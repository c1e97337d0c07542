import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createGatedView,
  createRefreshDatabase,
  errorOf,
  type Gate,
  openReader,
  registrationOf,
  runsOf,
  untilBlocked,
  untilNothingIsLeft,
} from '../support/refresh.ts'

let db: TestDatabase
let gate: Gate

beforeAll(async () => {
  db = await createRefreshDatabase()
  gate = await createGatedView(db, 'gated')
})

const refresh = (...args: string[]) => ayb(['matviews', 'refresh', ...args], {url: db.url})

/** Reads without waiting for anybody. */
async function readAtOnce(view: string): Promise<number> {
  const client = await db.connect()
  await client.query(`set lock_timeout = '1ms'`)
  const {rowCount} = await client.query(`select * from ${view}`)
  await client.end()
  return rowCount ?? 0
}

async function expectRecorded(view: string, message: string): Promise<void> {
  expect(await registrationOf(db, view)).toMatchObject({
    last_refresh_status: 'error',
    last_refresh_error: message,
  })
  expect((await runsOf(db, view))[0]).toMatchObject({status: 'error', error: message, size_bytes: null})
}

describe('--timeout', () => {
  test.each(['standard', 'concurrent'])('cancels a %s refresh on the server', async (mode) => {
    await gate.close()
    const result = await refresh('gated', '--mode', mode, '--timeout', '300ms', '--json')
    const rows = await readAtOnce('gated')
    await gate.open()
    expect(rows).toBe(1)
    expect(result.code).toBe(8)
    const error = errorOf(result)
    expect(error).toMatchObject({
      code: 'TIMEOUT',
      status: 504,
      message: 'statement timeout: the refresh of public.gated was canceled after 300 ms',
      hint: expect.stringContaining('--timeout'),
      details: {timeout: 'statement', timeoutMs: 300},
    })
    await expectRecorded('gated', error.message)
    const [run] = await runsOf(db, 'gated')
    expect(run?.duration_ms).toBeGreaterThanOrEqual(300)
    await untilNothingIsLeft(db, 2000)
  })

  test('says so on stderr', async () => {
    await gate.close()
    const result = await refresh('gated', '--timeout', '50ms')
    await gate.open()
    expect(result).toMatchObject({code: 8, stdout: ''})
    expect(result.stderr).toMatch(/^Error: statement timeout: .* after 50 ms\nHint: [^\n]*\n$/)
  })

  test('leaves a refresh alone that is faster', async () => {
    expect((await refresh('leaderboard', '--timeout', '20s', '--lock-timeout', '10s')).code).toBe(0)
  })

  test('counts the refresh alone, and not its record', async () => {
    const client = await db.connect()
    await client.query('begin; lock table _ayb_matview_refresh_runs in exclusive mode')
    const done = refresh('leaderboard', '--timeout', '400ms', '--lock-timeout', '200ms')
    await untilBlocked(db, '_ayb_matview_refresh_runs', 700)
    await client.query('rollback')
    expect((await done).code).toBe(0)
  })
})

describe('--lock-timeout', () => {
  test('names the session in the way', async () => {
    const {client, pid} = await openReader(db, 'leaderboard')
    const result = await refresh('leaderboard', '--lock-timeout', '2s', '--json')
    const inText = await refresh('leaderboard', '--lock-timeout', '2s')
    const rows = await readAtOnce('leaderboard')
    await client.query('commit')

    expect(rows).toBe(50)
    expect(result.code).toBe(8)
    const error = errorOf(result)
    expect(error).toMatchObject({
      code: 'TIMEOUT',
      hint: expect.stringContaining('--lock-timeout'),
      details: {
        timeout: 'lock',
        timeoutMs: 2000,
        blockers: [
          {
            pid,
            user: db.user,
            applicationName: 'nightly report',
            state: 'idle in transaction',
            transactionAgeMs: expect.any(Number),
          },
        ],
      },
    })
    const named = `lock timeout: the refresh of public\\.leaderboard waited 2\\.0 s for a lock on public\\.leaderboard, held by pid ${pid} \\(nightly report, user ${db.user}, in a transaction for \\d+.*\\)`
    expect(error.message).toMatch(new RegExp(`^${named}$`))
    expect(inText).toMatchObject({code: 8, stdout: ''})
    expect(inText.stderr).toMatch(new RegExp(`^Error: ${named}\nHint: `))
    await untilNothingIsLeft(db, 2000)
  })

  test('is recorded as an error', async () => {
    const {client} = await openReader(db, 'leaderboard')
    const result = await refresh('leaderboard', '--lock-timeout', '50ms', '--json')
    await client.query('commit')
    await expectRecorded('leaderboard', errorOf(result).message)
  })

  test('does not matter to a concurrent refresh beside a reader', async () => {
    const {client} = await openReader(db, 'gated')
    const result = await refresh('gated', '--mode', 'concurrent', '--lock-timeout', '50ms')
    await client.query('commit')
    expect(result).toMatchObject({code: 0, stderr: ''})
  })

  test('is told apart from --timeout, whichever ends first', async () => {
    const {client} = await openReader(db, 'leaderboard')
    const [lock, statement] = [
      await refresh('leaderboard', '--lock-timeout', '100ms', '--timeout', '10s', '--json'),
      await refresh('leaderboard', '--lock-timeout', '10s', '--timeout', '100ms', '--json'),
    ]
    await client.query('commit')
    expect(errorOf(lock).details).toMatchObject({timeout: 'lock', timeoutMs: 100})
    expect(errorOf(statement).details).toMatchObject({timeout: 'statement', timeoutMs: 100})
  })
})
