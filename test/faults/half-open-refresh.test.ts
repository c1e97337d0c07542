import {describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import {GIVING_UP_MS, stallBackend, startProxy, untilAnswerIsLost} from '../support/half-open.ts'
import {
  createGatedView,
  createRefreshDatabase,
  errorOf,
  registrationOf,
  runsOf,
  untilNothingIsLeft,
  untilRefreshing,
} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

/** How often a running refresh is looked after. */
const LOOK_MS = 10_000
/** How long the record behind a refresh may wait for locks. */
const RECORD_MS = 70_000
/** How long a connection may take, and how long a canceled statement may go unanswered. */
const CONNECT_MS = 10_000
const CANCEL_MS = 5000
/** How long taking a lock may go unanswered. */
const LOCK_MS = 15_000
const NOISE_MS = 10_000

describe.concurrent('a refresh by hand whose connection goes half-open', {timeout: 180_000}, () => {
  async function startRefresh(...args: string[]) {
    const db = await createRefreshDatabase()
    const proxy = await startProxy(db)
    const gate = await createGatedView(db, 'gated')
    await gate.close()
    const running = startAyb(['matviews', 'refresh', 'gated', '--json', ...args], {
      url: proxy.through(db.url),
      timeoutMs: GIVING_UP_MS,
    })
    const pid = await untilRefreshing(db, 'gated')
    return {db, proxy, gate, running, pid}
  }

  test('ends after its --timeout, and records that over a new connection', async () => {
    const {db, proxy, gate, running, pid} = await startRefresh('--timeout', '5s')
    const link = await stallBackend(db, proxy, pid)
    const stalledAt = performance.now()
    const {passed} = link
    await untilAnswerIsLost(db, pid, link)
    const result = await running.done
    const elapsedMs = performance.now() - stalledAt
    await gate.open()
    expect(link.passed).toBe(passed)
    expect(result.code).toBe(6)
    const error = errorOf(result)
    expect(error.code).toBe('CONNECTION_LOST')
    // Its own 5 s, one look that comes too early, the next one.
    expect(elapsedMs).toBeLessThan(5000 + LOOK_MS + NOISE_MS)
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'error', error: error.message}])
    expect(await registrationOf(db, 'gated')).toMatchObject({
      last_refresh_status: 'error',
      last_refresh_error: error.message,
    })
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('ends after its --timeout where no new connection is answered either, and says what is not recorded', async () => {
    const {db, proxy, gate, running, pid} = await startRefresh('--timeout', '5s')
    const [link] = proxy.stallAll()
    if (!link) throw new Error('nothing was connected')
    const stalledAt = performance.now()
    const {passed} = link
    await untilAnswerIsLost(db, pid, link)
    const result = await running.done
    const elapsedMs = performance.now() - stalledAt
    await gate.open()
    expect(link.passed).toBe(passed)
    expect(proxy.unanswered()).toBeGreaterThan(0)
    expect(result.code).toBe(6)
    expect(elapsedMs).toBeLessThan(5000 + RECORD_MS + CONNECT_MS + NOISE_MS)
    expect(result.stderr).toMatch(/public\.gated .*could not be recorded: .*no answer after/)
    expect(await runsOf(db, 'gated')).toEqual([])
    // The lock is free all the same.
    expect((await ayb(['matviews', 'refresh', 'gated'], {url: db.url})).code).toBe(0)
  })

  test('is found to be a success, without a --timeout, once the server has committed it', async () => {
    const {db, proxy, gate, running, pid} = await startRefresh()
    const link = await stallBackend(db, proxy, pid)
    const {passed} = link
    await gate.open()
    await untilAnswerIsLost(db, pid, link)
    const result = await running.done
    expect(link.passed).toBe(passed)
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.json()).toMatchObject({registration: {lastRefreshStatus: 'success'}})
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'success'}])
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('ends at the first Ctrl-C, and records that it was canceled', async () => {
    const {db, proxy, gate, running, pid} = await startRefresh()
    const link = await stallBackend(db, proxy, pid)
    running.kill('SIGINT')
    await untilAnswerIsLost(db, pid, link)
    const result = await running.done
    await gate.open()
    expect(result.code).toBe(130)
    expect(errorOf(result)).toMatchObject({code: 'CANCELED', message: 'canceled by SIGINT'})
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'canceled', error: 'canceled by SIGINT'}])
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('ends at the first SIGTERM where nothing is answered any more, and says what is not recorded', async () => {
    const {db, proxy, gate, running, pid} = await startRefresh()
    const [link] = proxy.stallAll()
    if (!link) throw new Error('nothing was connected')
    const {passed} = link
    running.kill('SIGTERM')
    const stalledAt = performance.now()
    const result = await running.done
    const elapsedMs = performance.now() - stalledAt
    expect(link.passed).toBe(passed)
    expect(proxy.unanswered()).toBeGreaterThan(0)
    expect(result.code).toBe(143)
    expect(errorOf(result)).toMatchObject({code: 'CANCELED', message: 'canceled by SIGTERM'})
    expect(result.stderr).toMatch(/public\.gated .*could not be recorded: .*no answer after/)
    expect(elapsedMs).toBeLessThan(CANCEL_MS + CONNECT_MS + NOISE_MS)
    // Nothing told the server: it goes on until it sees that nobody is there.
    expect(await untilRefreshing(db, 'gated')).toBe(pid)
    await gate.open()
  })

  test('ends soon after its --wait-timeout, where the connection stalls while it waits', async () => {
    const db = await createRefreshDatabase()
    const proxy = await startProxy(db)
    const gate = await createGatedView(db, 'gated')
    await gate.close()
    // Through the whole stall: that takes longer than a program usually gets here.
    const holding = startAyb(['matviews', 'refresh', 'gated'], {url: db.url, timeoutMs: GIVING_UP_MS})
    await untilRefreshing(db, 'gated')
    const waiting = startAyb(['matviews', 'refresh', 'gated', '--wait-timeout', '5s', '--json'], {
      url: proxy.through(db.url),
      timeoutMs: GIVING_UP_MS,
    })
    const pid = await until(
      async () => {
        const [row] = await db.query<{pid: number}>(
          `select pid from pg_stat_activity
            where application_name = 'ayb matviews refresh' and query like '%pg_advisory_lock%'`,
        )
        return row?.pid
      },
      {what: 'the second refresh to wait', timeoutMs: PATIENCE_MS},
    )
    const link = await stallBackend(db, proxy, pid)
    const stalledAt = performance.now()
    const {passed} = link
    const result = await waiting.done
    const elapsedMs = performance.now() - stalledAt
    expect(link.passed).toBe(passed)
    expect(link.lost.fromProgram + link.lost.fromServer).toBeGreaterThan(0)
    expect(result.code).toBe(6)
    expect(errorOf(result).code).toBe('CONNECTION_LOST')
    expect(elapsedMs).toBeLessThan(5000 + LOCK_MS + NOISE_MS)
    await gate.open()
    expect((await holding.done).code).toBe(0)
    // The backend of the stalled one is still there, and has no lock.
    expect((await ayb(['matviews', 'refresh', 'gated'], {url: db.url})).code).toBe(0)
  })
})
