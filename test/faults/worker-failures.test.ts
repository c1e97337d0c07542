import {setTimeout as sleep} from 'node:timers/promises'
import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob, untilJob, untilState} from '../support/jobs.ts'
import {createRefresher, register, registrationOf} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {committed, complaints, startWorker, stopWorkers} from '../support/worker.ts'

describe.concurrent('a job that cannot get better by itself fails at once', {timeout: 90_000}, () => {
  test.each([
    ['without a view in its payload', {}, 'the payload names no view: {}'],
    ['with a payload of another kind', ['x'], 'the payload names no view: ["x"]'],
    ['with a number for a name', {view_name: 7}, 'the payload names no view: {"view_name":7}'],
    [
      'whose view is neither registered nor there',
      {view_name: 'leaderbord'},
      expect.stringContaining('leaderbord'),
    ],
    ['whose view is a table', {view_name: 'users'}, expect.stringContaining('users')],
  ])('%s', async (_, payload, message) => {
    const db = await createTestDatabase({hasTables: true})
    const id = await insertJob(db, payload)
    const worker = await startWorker(db)
    expect(await untilState(db, id, 'failed')).toMatchObject({
      attempts: 1,
      worker_id: null,
      lease_until: null,
      last_error: message,
    })
    await stopWorkers([worker])
    expect(worker.logs().filter(({level}) => level === 'error')).toMatchObject([
      {msg: 'failed at attempt 1, will not retry:', jobId: id, attempt: 1, error: message},
    ])
    expect(await db.query('select from _ayb_matview_refreshes')).toEqual([])
  })

  test('whose view was dropped, lacks its index, or belongs to another', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create materialized view foreign_view as select 1 as one')
    const role = await createRefresher(db, 'worker')
    await db.query(`alter materialized view leaderboard owner to ${role.name}`)
    await db.query(`grant create on schema public to ${role.name}`)
    await register(db, 'gone')
    await register(db, 'leaderboard', 'concurrent')
    await register(db, 'foreign_view')
    const expected = {
      gone: 'VIEW_NOT_FOUND',
      leaderboard: 'UNIQUE_INDEX_REQUIRED',
      foreign_view: 'PERMISSION_DENIED',
    }
    const jobs = await Promise.all(Object.keys(expected).map((view) => insertJob(db, {view_name: view})))
    const worker = await startWorker({url: role.url})
    for (const [position, [view, code]] of Object.entries(expected).entries()) {
      const id = jobs[position] as string
      const job = await untilState(db, id, 'failed')
      expect(job.attempts).toBe(1)
      expect(await runsOfJob(db, id)).toMatchObject([
        {status: 'error', error: job.last_error, trigger: 'schedule'},
      ])
      expect(await registrationOf(db, view)).toMatchObject({
        last_refresh_status: 'error',
        last_refresh_error: job.last_error,
      })
      // The row says so a moment before the log does.
      const line = await worker.waitForLog(
        ({jobId, level}) => jobId === id && level === 'error',
        'the failure',
      )
      expect(line).toMatchObject({code})
    }
    await stopWorkers([worker])
  })
})

describe.concurrent('a worker', {timeout: 90_000}, () => {
  test('goes on when another program changes the types of columns', async () => {
    const db = await createTestDatabase({hasTables: true})
    const worker = await startWorker(db)
    const due = async (name: string) => {
      await insertSchedule(db, name, {view: 'leaderboard'})
      await db.query('notify ayb_cli_wake')
      return until(
        async () => {
          const [job] = await db.query<{state: string}>(
            `select j.state from _ayb_jobs j join _ayb_job_schedules s on s.id = j.schedule_id where s.name = $1`,
            [name],
          )
          return job?.state === 'completed'
        },
        {what: `${name} to be done`, timeoutMs: PATIENCE_MS},
      )
    }
    await due('before')
    // One after the other: both at once may be in a deadlock with a statement of the worker.
    await db.query(
      'alter table _ayb_job_schedules alter column name type varchar(120), alter column timezone type text',
    )
    await db.query('alter table _ayb_matview_refreshes alter column refresh_mode type varchar(30)')
    await due('wider')
    expect(complaints([worker])).toEqual([])
    // No cast hides this one: the sessions are given up, and opened anew.
    await db.query('alter table _ayb_matview_refreshes alter column last_refresh_duration_ms type bigint')
    await due('other')
    await stopWorkers([worker])
  })

  test('retries what may get better, until the attempts are used up', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(`create table divisors (n int); insert into divisors values (0);
                    create materialized view fragile as select 1 / n as quotient from divisors with no data`)
    await register(db, 'fragile')
    const id = await insertJob(db, {view_name: 'fragile'}, {max_attempts: 3})
    const worker = await startWorker(db, ['--listen', '127.0.0.1:0'])
    for (const [attempt, leastMs] of [
      [1, 5000],
      [2, 10_000],
    ] as const) {
      await untilJob(db, id, (job) => job.state === 'queued' && job.attempts === attempt, 'queued again')
      const [row] = await db.query<{delay_ms: number}>(
        `select (extract(epoch from run_at - updated_at) * 1000)::int as delay_ms from _ayb_jobs`,
      )
      expect(row?.delay_ms).toBeGreaterThanOrEqual(leastMs)
      expect(row?.delay_ms).toBeLessThanOrEqual(leastMs + 1001)
      await db.query('update _ayb_jobs set run_at = now()')
      await db.query('notify ayb_cli_wake')
    }
    const failed = await untilState(db, id, 'failed')
    expect(failed).toMatchObject({attempts: 3, last_error: expect.stringContaining('division by zero')})
    expect((await runsOfJob(db, id)).map(({status}) => status)).toEqual(['error', 'error', 'error'])
    const list = (await ayb(['jobs', 'list', '--state', 'failed', '--json'], {url: db.url})).json()
    expect(list).toMatchObject([{id, state: 'failed', attempts: 3, lastError: failed.last_error}])

    const ofJob = worker.logs().filter(({jobId, level}) => jobId === id && level !== 'debug')
    expect(ofJob.map(({level}) => level)).toEqual(['warn', 'warn', 'error'])
    expect(ofJob[0]).toMatchObject({attempt: 1, error: failed.last_error, code: 'REFRESH_FAILED'})
    const [, address] = await worker.waitForOutput(/listening on (http:[^"]+)/)
    const metrics = await (await fetch(`${address}/metrics`)).text()
    expect(metrics).toContain('ayb_refreshes_total{view="public.fragile",status="error"} 3')

    await db.query('update divisors set n = 1')
    await ayb(['jobs', 'retry', id], {url: db.url})
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1, last_error: null})
    await stopWorkers([worker])
  })

  test('passes over schedules that it cannot read, told of once', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    await insertSchedule(db, 'bad_cron', {view: 'leaderboard', cron: 'at noon', nextRunAt: `'2020-01-01'`})
    await insertSchedule(db, 'bad_zone', {
      view: 'leaderboard',
      timezone: 'Mars/Olympus',
      nextRunAt: `'2020-01-01'`,
    })
    const good = await insertSchedule(db, 'good', {view: 'leaderboard'})
    const worker = await startWorker(db, ['--poll-interval', '1s'])
    await worker.waitForLog(
      ({msg, view}) => msg === 'refreshed' && view === 'public.leaderboard',
      'a refresh',
    )
    const before = await committed(db)
    await sleep(5000)
    expect((await committed(db)) - before).toBeLessThan(100)
    expect(await db.query('select schedule_id from _ayb_jobs')).toEqual([{schedule_id: good}])
    const bad = await db.query(
      `select next_run_at::text as at from _ayb_job_schedules where name like 'bad%'`,
    )
    expect(bad).toEqual([
      {at: expect.stringContaining('2020-01-01')},
      {at: expect.stringContaining('2020-01-01')},
    ])
    const errors = () =>
      worker
        .logs()
        .filter(({level}) => level === 'error')
        .map(({msg, error}) => `${msg}: ${error}`)
        .sort()
    expect(errors()).toEqual([
      expect.stringMatching(/^schedule bad_cron cannot be read and is skipped: .*at noon/),
      expect.stringMatching(/^schedule bad_zone cannot be read and is skipped: .*Mars\/Olympus/),
    ])
    // Mended, it is taken up again.
    await db.query(`update _ayb_job_schedules set cron_expr = '0 0 1 1 *' where name = 'bad_cron'`)
    await db.query('notify ayb_cli_wake')
    await worker.waitForLog(
      ({msg, scheduleId}) => msg === 'refreshed' && scheduleId !== good,
      'the mended schedule',
    )
    expect(errors()).toHaveLength(2)
    await stopWorkers([worker])
  })

  test('fails queued jobs that have no attempt left, and waits for nobody who holds one', async () => {
    const db = await createTestDatabase({hasTables: true})
    const spent = await insertJob(db, {view_name: 'leaderboard'}, {attempts: 3})
    const held = await insertJob(db, {view_name: 'leaderboard'}, {attempts: 4})
    const early = await insertJob(db, {view_name: 'leaderboard'}, {attempts: 3, run_at: '2100-01-01'})
    const holder = await db.connect()
    await holder.query('begin')
    await holder.query('select from _ayb_jobs where id = $1 for update', [held])
    const worker = await startWorker(db, ['--poll-interval', '200ms'])
    expect(await untilState(db, spent, 'failed')).toMatchObject({
      attempts: 3,
      last_error: expect.stringContaining('no attempts left'),
    })
    expect((await jobOf(db, held)).state).toBe('queued')
    await holder.query('rollback')
    await untilState(db, held, 'failed')
    await stopWorkers([worker])
    expect((await jobOf(db, early)).state).toBe('queued')
    expect(await db.query('select from _ayb_matview_refresh_runs')).toEqual([])
  })
})
