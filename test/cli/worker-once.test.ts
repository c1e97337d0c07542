import {describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import {createGatedView, register, untilNothingIsLeft, untilRefreshing} from '../support/refresh.ts'
import {createWorkerDatabase, insertJob, insertSchedule, jobOf, PATIENCE_MS} from '../support/worker.ts'

const NONE = {claimed: 0, succeeded: 0, failed: 0, retried: 0, skipped: 0, warnings: []}
const ONCE = ['worker', '--once']

describe.concurrent('worker --once', {timeout: 90_000}, () => {
  test('runs all that is due, then ends', async () => {
    const db = await createWorkerDatabase()
    await register(db, 'leaderboard')
    await db.query('create materialized view other as select 1 as one')
    await insertSchedule(db, 'due', {view: 'leaderboard'})
    await insertSchedule(db, 'later', {view: 'leaderboard', nextRunAt: `now() + interval '1 hour'`})
    for (let n = 0; n < 6; n++) await insertJob(db, {view_name: 'other'})
    await insertJob(db, {view_name: 'other'}, {run_at: '2100-01-01'})
    const result = await ayb([...ONCE, '--json', '--concurrency', '2'], {url: db.url, timeoutMs: 60_000})
    expect(result.code).toBe(0)
    expect(result.json()).toEqual({...NONE, claimed: 7, succeeded: 7})
    const lines = result.stderr.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual([
      expect.stringContaining('worker started'),
      ...Array.from({length: 7}, () => 'refreshed'),
      'worker stopped',
    ])
    const states = 'select state, count(*)::int as jobs from _ayb_jobs group by state order by state'
    expect(await db.query(states)).toEqual([
      {state: 'completed', jobs: 7},
      {state: 'queued', jobs: 1},
    ])
  })

  test('has nothing to do on an empty database', async () => {
    const db = await createWorkerDatabase()
    const result = await ayb([...ONCE, '--json'], {url: db.url})
    expect(result.code).toBe(0)
    expect(result.json()).toEqual(NONE)
    const text = await ayb(ONCE, {url: db.url})
    expect(text).toMatchObject({
      code: 0,
      stdout: '0 claimed: 0 succeeded, 0 failed, 0 to be retried, 0 skipped\n',
    })
  })

  test('tells by its exit code that a job failed', async () => {
    const db = await createWorkerDatabase()
    await register(db, 'leaderboard')
    await insertJob(db, {view_name: 'leaderboard'})
    await insertJob(db, {view_name: 'gone'})
    const result = await ayb([...ONCE, '--json'], {url: db.url})
    expect(result.code).toBe(1)
    expect(result.json()).toEqual({...NONE, claimed: 2, succeeded: 1, failed: 1})
    expect(result.stderr).toContain('"level":"error"')
  })

  test('counts what is to be retried, and what somebody else refreshes, without waiting for it', async () => {
    const db = await createWorkerDatabase()
    await register(db, 'leaderboard')
    await db.query('create materialized view fragile as select 1 / 0 as never with no data')
    const fragile = await insertJob(db, {view_name: 'fragile'})
    const locked = await insertJob(db, {view_name: 'leaderboard'})
    const locker = await db.connect()
    await locker.query(`select pg_advisory_lock(hashtext('public.leaderboard'))`)
    const result = await ayb([...ONCE, '--json'], {url: db.url})
    expect(result.code).toBe(0)
    expect(result.json()).toEqual({...NONE, claimed: 2, retried: 1, skipped: 1})
    expect(await jobOf(db, fragile)).toMatchObject({state: 'queued', attempts: 1})
    expect(await jobOf(db, locked)).toMatchObject({state: 'queued', attempts: 0})
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('is ended by %s', async (signal, code) => {
    const db = await createWorkerDatabase()
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const once = startAyb([...ONCE, '--json', '--shutdown-timeout', '100ms'], {
      url: db.url,
      timeoutMs: 60_000,
    })
    await untilRefreshing(db, 'slow')
    once.kill(signal)
    const result = await once.done
    expect(result.code).toBe(code)
    expect(result.json()).toMatchObject({error: {code: 'CANCELED', details: {signal}}})
    expect(await jobOf(db, id)).toMatchObject({state: 'queued', attempts: 0})
    await untilNothingIsLeft(db, PATIENCE_MS)
  })
})
