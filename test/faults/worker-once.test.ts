import {describe, expect, test} from 'vitest'
import type {WorkerResult} from '../../src/lib/records/workers.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {createGatedSet, idsByView, memberStates, runSet, untilMembers} from '../support/job-sets.ts'
import {insertJob, jobOf} from '../support/jobs.ts'
import {createGatedView, register, untilNothingIsLeft, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const NONE = {
  claimed: 0,
  succeeded: 0,
  failed: 0,
  retried: 0,
  skipped: 0,
  canceled: 0,
  remaining: [],
  warnings: [],
  unchanged: 0,
}
const ONCE = ['worker', '--once']

describe.concurrent('worker --once', {timeout: 90_000}, () => {
  test('runs all that is due, then ends', async () => {
    const db = await createTestDatabase({hasTables: true})
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
    const db = await createTestDatabase({hasTables: true})
    const result = await ayb([...ONCE, '--json'], {url: db.url})
    expect(result.code).toBe(0)
    expect(result.json()).toEqual(NONE)
    const text = await ayb(ONCE, {url: db.url})
    expect(text).toMatchObject({
      code: 0,
      stdout: '0 claimed: 0 succeeded, 0 unchanged, 0 failed, 0 to be retried, 0 skipped\n',
    })
  })

  test('tells by its exit code that a job failed', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    await insertJob(db, {view_name: 'leaderboard'})
    await insertJob(db, {view_name: 'gone'})
    const result = await ayb([...ONCE, '--json'], {url: db.url})
    expect(result.code).toBe(1)
    expect(result.json()).toEqual({...NONE, claimed: 2, succeeded: 1, failed: 1})
    expect(result.stderr).toContain('"level":"error"')
  })

  test('names what is to be retried, and what somebody else refreshes, without waiting for it', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    await db.query('create materialized view fragile as select 1 / 0 as never with no data')
    const scheduleId = await insertSchedule(db, 'breaks', {view: 'fragile', nextRunAt: 'null'})
    const fragile = await insertJob(db, {view_name: 'fragile'}, {schedule_id: scheduleId})
    const locked = await insertJob(db, {view_name: 'leaderboard'})
    const locker = await db.connect()
    await locker.query(`select pg_advisory_lock(hashtext('public.leaderboard'))`)
    const result = await ayb([...ONCE, '--json'], {url: db.url})
    expect(result.code).toBe(1)
    const remaining = [
      {
        jobId: locked,
        scheduleId: null,
        reason: expect.stringMatching(/^refresh already in progress by pid /),
      },
      {jobId: fragile, scheduleId, reason: expect.stringContaining('division by zero')},
    ]
    const counts = {...NONE, claimed: 2, retried: 1, skipped: 1}
    expect(result.json()).toEqual({...counts, remaining: expect.arrayContaining(remaining)})
    expect((result.json() as WorkerResult).remaining).toHaveLength(2)
    expect(await jobOf(db, fragile)).toMatchObject({state: 'queued', attempts: 1})
    expect(await jobOf(db, locked)).toMatchObject({state: 'queued', attempts: 0})
  })

  test('runs a set of jobs as a whole that was under way when it started', async () => {
    const {db} = await createGatedSet({a: [], b: ['a'], c: ['b']})
    const run = await runSet(db)
    const result = await ayb([...ONCE, '--json'], {url: db.url, timeoutMs: 60_000})
    expect(await memberStates(db, run)).toEqual({a: 'completed', b: 'completed', c: 'completed'})
    expect(result.code, result.stderr).toBe(0)
    expect(result.json()).toEqual({...NONE, claimed: 3, succeeded: 3})
  })

  test('says of a set whose running job another worker has what waits for that', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b']})
    await gates.b?.close()
    const run = await runSet(db)
    const worker = await startWorker(db)
    await untilRefreshing(db, 'b')
    const result = await ayb([...ONCE, '--json'], {url: db.url, timeoutMs: 60_000})
    expect(result.code, result.stderr).toBe(1)
    const {remaining} = result.json() as WorkerResult
    const scheduleId = expect.any(String)
    expect(remaining).toEqual([
      {jobId: idsByView(run).b, scheduleId, reason: 'another worker runs it'},
      {jobId: idsByView(run).c, scheduleId, reason: 'it waits for the views that its view reads'},
    ])
    await gates.b?.open()
    await untilMembers(db, run, {c: 'completed'})
    await stopWorkers([worker])
  })

  test('leaves alone what becomes due while it works', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create materialized view slow as select 1 as one from pg_sleep(1.5) with no data')
    await insertSchedule(db, 'every second', {view: 'slow', cron: '* * * * * *'})
    const result = await ayb([...ONCE, '--json'], {url: db.url, timeoutMs: 60_000})
    expect(result.code, result.stderr).toBe(0)
    expect(result.json()).toEqual({...NONE, claimed: 1, succeeded: 1})
    expect(await db.query('select state from _ayb_jobs')).toEqual([{state: 'completed'}])
  })

  test('names the jobs that no session could be opened for', async () => {
    const db = await createTestDatabase({hasTables: true})
    const role = await db.createRole('lonely')
    await db.query(`create materialized view own as select 1 as one; alter materialized view own owner to ${role.name};
      grant select, insert, update, delete on all tables in schema public to ${role.name};
      alter role ${role.name} connection limit 1`)
    await register(db, 'own')
    const jobId = await insertJob(db, {view_name: 'own'})
    const result = await ayb([...ONCE, '--json'], {url: role.url, timeoutMs: 60_000})
    expect(result.code, result.stderr).toBe(1)
    const reason = expect.stringMatching(/^no session could be opened: .*too many connections/)
    expect(result.json()).toEqual({...NONE, claimed: 1, remaining: [{jobId, scheduleId: null, reason}]})
    // The job was put back for a second.
    await db.query('update _ayb_jobs set run_at = now()')
    const text = await ayb(ONCE, {url: role.url, timeoutMs: 60_000})
    expect(text.code).toBe(1)
    expect(await jobOf(db, jobId)).toMatchObject({state: 'queued', attempts: 0})
  })

  test('runs all jobs where there is a session for one of them at a time', async () => {
    const db = await createTestDatabase({hasTables: true})
    const role = await db.createRole('poor')
    for (let n = 0; n < 4; n++) {
      await db.query(
        `create materialized view own${n} as select 1 as one; alter materialized view own${n} owner to ${role.name}`,
      )
      await register(db, `own${n}`)
      await insertJob(db, {view_name: `own${n}`})
    }
    await db.query(`grant select, insert, update, delete on all tables in schema public to ${role.name};
      alter role ${role.name} connection limit 2`)
    const result = await ayb([...ONCE, '--json'], {url: role.url, timeoutMs: 60_000})
    expect(result.code, result.stderr).toBe(0)
    expect(result.json()).toMatchObject({succeeded: 4, remaining: []})
  })

  test('counts jobs that had no attempt left, and names a schedule that it cannot read', async () => {
    const db = await createTestDatabase({hasTables: true})
    await insertJob(db, {view_name: 'leaderboard'}, {attempts: 3})
    const scheduleId = await insertSchedule(db, 'odd', {view: 'leaderboard', cron: 'now and then'})
    const result = await ayb([...ONCE, '--json'], {url: db.url, timeoutMs: 60_000})
    expect(result.code, result.stderr).toBe(1)
    const reason = expect.stringContaining('the schedule cannot be read: ')
    expect(result.json()).toEqual({...NONE, failed: 1, remaining: [{jobId: null, scheduleId, reason}]})
    const {code, stdout} = await ayb(ONCE, {url: db.url, timeoutMs: 60_000})
    expect(code).toBe(1)
    expect(stdout).toContain(`not done: schedule ${scheduleId}: the schedule cannot be read: `)
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('is ended by %s', async (signal, code) => {
    const db = await createTestDatabase({hasTables: true})
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
