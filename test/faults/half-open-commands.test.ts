import {setTimeout as sleep} from 'node:timers/promises'
import {describe, expect, test} from 'vitest'
import type {RegistrationDocument} from '../../src/lib/records/registrations.ts'
import {startAyb} from '../support/ayb.ts'
import {documentOf} from '../support/documents.ts'
import {GIVING_UP_MS, stallBackend, startProxy, untilAnswerIsLost} from '../support/half-open.ts'
import {untilWaiting} from '../support/lock-waits.ts'
import {createRefreshDatabase, errorOf} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS} from '../support/until.ts'

/**
 * How often a statement that is not answered is looked after, how long one look may take, and for how long
 * none may be had.
 */
const LOOK_MS = 20_000
const LOOKING_MS = 10_000
const SILENCE_MS = 60_000
const NOISE_MS = 15_000

describe.concurrent('a command without a timeout', {timeout: 180_000}, () => {
  /** The command waits for the row of the registration, which somebody holds. */
  async function startUpdate() {
    const db = await createRefreshDatabase()
    const proxy = await startProxy(db)
    await documentOf(['matviews', 'register', 'leaderboard', '--if-not-exists'], db)
    const holder = await db.connect()
    await holder.query('begin')
    await holder.query(`select from _ayb_matview_refreshes where view_name = 'leaderboard' for update`)
    const running = startAyb(['matviews', 'update', 'leaderboard', '--mode', 'standard', '--json'], {
      url: proxy.through(db.url),
      timeoutMs: GIVING_UP_MS,
    })
    const [pid = 0] = await untilWaiting(db, {program: 'ayb matviews update'})
    return {db, proxy, holder, running, pid, stalledAt: performance.now()}
  }

  test('ends a minute behind a network that swallows everything', async () => {
    const {proxy, running, stalledAt} = await startUpdate()
    proxy.stallAll()
    const result = await running.done
    const elapsedMs = performance.now() - stalledAt
    expect(result.code).toBe(6)
    expect(errorOf(result)).toMatchObject({
      code: 'CONNECTION_LOST',
      message: expect.stringMatching(
        /: no answer after [6-9]\d s; the change may have been made all the same$/,
      ),
    })
    expect(proxy.unanswered()).toBeGreaterThan(0)
    expect(elapsedMs).toBeLessThan(SILENCE_MS + LOOK_MS + LOOKING_MS + NOISE_MS)
  })

  test('ends where its answer got lost, and leaves no backend', async () => {
    const {db, proxy, holder, running, pid, stalledAt} = await startUpdate()
    const link = await stallBackend(db, proxy, pid)
    await holder.query('rollback')
    await untilAnswerIsLost(db, pid, link)
    const result = await running.done
    const elapsedMs = performance.now() - stalledAt
    expect(result.code).toBe(6)
    expect(errorOf(result)).toMatchObject({code: 'CONNECTION_LOST'})
    expect(elapsedMs).toBeLessThan(LOOK_MS + LOOKING_MS + NOISE_MS)
    expect(await db.query('select from pg_stat_activity where pid = $1', [pid])).toEqual([])
  })

  test('goes on waiting for longer than that where its backend is at work', async () => {
    const {holder, running} = await startUpdate()
    await sleep(SILENCE_MS + LOOK_MS + LOOKING_MS)
    await holder.query('rollback')
    const result = await running.done
    expect({code: result.code, stderr: result.stderr}).toEqual({code: 0, stderr: ''})
    expect((result.json() as RegistrationDocument).registration.refreshMode).toBe('standard')
  })

  test('that waits for a job ends a minute behind a network that swallows everything, and the job goes on', async () => {
    const db = await createRefreshDatabase()
    const proxy = await startProxy(db)
    await insertSchedule(db, 'nightly', {view: 'leaderboard', nextRunAt: 'null'})
    const running = startAyb(['schedules', 'run', 'nightly', '--wait'], {
      url: proxy.through(db.url),
      timeoutMs: GIVING_UP_MS,
    })
    await running.waitForOutput(/Queued job/, PATIENCE_MS)
    proxy.stallAll()
    const stalledAt = performance.now()
    const result = await running.done
    expect(performance.now() - stalledAt).toBeLessThan(SILENCE_MS + LOOK_MS + LOOKING_MS + NOISE_MS)
    expect(result.code).toBe(6)
    expect(result.stderr).toMatch(
      /Error: lost the connection to .*: no answer after [6-9]\d s; job \S+ goes on\n/,
    )
    expect(await db.query(`select from _ayb_jobs where state = 'queued'`)).toHaveLength(1)
  })
})
