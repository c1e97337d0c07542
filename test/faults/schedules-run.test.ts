import {stripVTControlCharacters} from 'node:util'
import {beforeAll, describe, expect, test} from 'vitest'
import type {JobDocument} from '../../src/lib/records/jobs.ts'
import type {ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, INSTANT, keysOf, UUID} from '../support/documents.ts'
import {insertAgedJob, JOB_KEYS, jobRows} from '../support/jobs.ts'
import {untilWaiting} from '../support/lock-waits.ts'
import {createSchedule, insertSchedule, pretendWorker} from '../support/schedules.ts'
import {openTerminal} from '../support/terminal.ts'
import {until} from '../support/until.ts'
import {startWorker} from '../support/worker.ts'

const run = (db: TestDatabase, schedule: string) =>
  documentOf<JobDocument>(['schedules', 'run', schedule], db)

describe('ayb schedules run', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase({hasTables: true})
    await pretendWorker(db)
  })

  test('queues one job for now, and gives the same one again', async () => {
    const {id} = await createSchedule(db, 'nightly', {more: ['--max-attempts', '7']})
    const document = await run(db, 'nightly')
    expect(keysOf(document)).toEqual(['job', 'warnings', 'jobs'])
    expect(keysOf(document.job)).toEqual(JOB_KEYS)
    const {createdAt} = document.job
    expect(document).toEqual({
      job: {
        id: expect.stringMatching(UUID),
        type: 'materialized_view_refresh',
        payload: {schema: 'public', view_name: 'leaderboard'},
        state: 'queued',
        runAt: createdAt,
        attempts: 0,
        maxAttempts: 7,
        lastError: null,
        workerId: null,
        leaseUntil: null,
        scheduleId: id,
        createdAt: expect.stringMatching(INSTANT),
        updatedAt: createdAt,
        lastRunAt: null,
        completedAt: null,
        canceledAt: null,
        setId: null,
        waitingFor: [],
      },
      warnings: [],
      jobs: [document.job],
    })
    const again = await run(db, id.toUpperCase())
    // The job has to see what was written until the second request.
    const {runAt, updatedAt} = again.job
    const job = {...document.job, runAt, updatedAt}
    expect(again).toEqual({...document, job, jobs: [job]})
    expect(Date.parse(runAt ?? '')).toBeGreaterThan(Date.parse(createdAt))
    expect(await ayb(['schedules', 'run', 'nightly'], db)).toMatchObject({
      code: 0,
      stdout: `Queued job ${document.job.id}\n`,
      stderr: '',
    })
    expect(await jobRows(db)).toHaveLength(1)
    // Its next run is its own affair.
    const shown = await documentOf<ScheduleDocument>(['schedules', 'show', 'nightly'], db)
    expect(shown.schedule).toMatchObject({
      nextRunAt: expect.stringMatching(/T03:00/),
      lastRunAt: expect.stringMatching(INSTANT),
    })
  })

  test('queues one behind a job that runs or has ended, and leaves other types alone', async () => {
    const {id} = await createSchedule(db, 'busy')
    for (const state of ['running', 'completed', 'failed', 'canceled'] as const) {
      await insertAgedJob(db, {state, scheduleId: id})
    }
    const foreign = await insertAgedJob(db, {scheduleId: id, type: 'send_mail'})
    const {job} = await run(db, 'busy')
    expect(job.id).not.toBe(foreign)
    expect((await run(db, 'busy')).job.id).toBe(job.id)
    expect(await db.query('select from _ayb_jobs where schedule_id = $1', [id])).toHaveLength(6)
  })

  test('works on a disabled schedule, which stays disabled', async () => {
    await createSchedule(db, 'asleep', {more: ['--no-enabled']})
    expect((await run(db, 'asleep')).job.state).toBe('queued')
    const {schedule} = await documentOf<ScheduleDocument>(['schedules', 'show', 'asleep'], db)
    expect(schedule).toMatchObject({enabled: false, nextRunAt: null})
  })

  test('copies the payload as Postgres has it, to the last digit', async () => {
    const {id} = await createSchedule(db, 'exact')
    await db.query(
      `update _ayb_job_schedules set payload = payload || '{"n": 12345678901234567890}' where id = $1`,
      [id],
    )
    const {job} = await run(db, 'exact')
    const rows = await db.query<{n: string}>(`select payload->>'n' as n from _ayb_jobs where id = $1`, [
      job.id,
    ])
    expect(rows).toEqual([{n: '12345678901234567890'}])
  })

  test('wakes the workers', async () => {
    const listener = await db.connect()
    await listener.query('listen ayb_cli_wake')
    const heard = new Promise<string | undefined>((resolve) => {
      listener.once('notification', ({payload}) => resolve(payload))
    })
    await createSchedule(db, 'loud')
    expect(await heard).toBe('')
    const again = new Promise<string>((resolve) => {
      listener.once('notification', ({channel}) => resolve(channel))
    })
    await run(db, 'loud')
    expect(await again).toBe('ayb_cli_wake')
  })

  test('eight at once make one job', {timeout: 60_000}, async () => {
    const {id} = await createSchedule(db, 'crowded')
    // All of them are held at the schedule's row, and go on together.
    const holder = await db.connect()
    await holder.query('begin')
    await holder.query('select from _ayb_job_schedules where id = $1 for update', [id])
    const runs = Array.from({length: 8}, () =>
      ayb(['schedules', 'run', 'crowded', '--json'], {url: db.url, timeoutMs: 45_000}),
    )
    await untilWaiting(db, {count: 8, program: 'ayb schedules run'})
    await holder.query('commit')
    const jobs = (await Promise.all(runs)).map((result) => (result.json() as JobDocument).job.id)
    expect(new Set(jobs).size).toBe(1)
    expect(await db.query('select from _ayb_jobs where schedule_id = $1', [id])).toHaveLength(1)
  })
})

describe('ayb schedules run --wait', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase({hasTables: true})
    await pretendWorker(db)
  })

  /** A schedule that is never due by itself. */
  const schedule = (name: string, view: string) =>
    insertSchedule(db, name, {view, maxAttempts: 1, nextRunAt: 'null'})

  /** Changes the jobs of a schedule, as workers and other commands do. */
  const changeJobs = (schedule: string, change: string) =>
    db.query(
      `update _ayb_jobs set ${change} where schedule_id = (select id from _ayb_job_schedules where name = $1)`,
      [schedule],
    )

  test('ends as the job ends that a worker runs', {timeout: 60_000}, async () => {
    await db.query('create table numbers as select 1 as n')
    await db.query('create materialized view broken as select 1 / n as quotient from numbers')
    await db.query('update numbers set n = 0')
    await schedule('good', 'leaderboard')
    await schedule('bad', 'broken')
    await schedule('lost', 'nowhere')
    const worker = await startWorker(db)
    const [good, bad, lost] = await Promise.all([
      documentOf<JobDocument>(['schedules', 'run', 'good', '--wait'], db),
      failureOf(['schedules', 'run', 'bad', '--wait'], 'REFRESH_FAILED', db),
      ayb(['schedules', 'run', 'lost', '--wait-timeout', '1m'], db),
    ])
    worker.kill()
    expect(keysOf(good)).toEqual(['job', 'warnings', 'jobs'])
    expect(keysOf(good.job)).toEqual(JOB_KEYS)
    expect(good).toMatchObject({job: {state: 'completed', lastError: null, attempts: 1}, warnings: []})
    expect(bad.message).toMatch(/^job \S+ failed: the refresh of public\.broken failed: division by zero/)
    const {jobId} = bad.details as {jobId: string}
    expect(bad).toMatchObject({hint: `ayb jobs show ${jobId}`, details: {jobId: expect.stringMatching(UUID)}})
    expect(lost).toMatchObject({
      code: 3,
      // The worker may have claimed the job before the command looks at it.
      stdout: expect.stringMatching(/^(Queued|Running:) job \S+\n$/),
      stderr: expect.stringMatching(
        /^Error: job \S+ failed: there is no materialized view public\.nowhere\nHint: ayb jobs show \S+\n$/,
      ),
    })
    await worker.done
  })

  test('gives up after --wait-timeout, and leaves the job in the queue', async () => {
    const scheduleId = await schedule('unserved', 'leaderboard')
    const args = ['schedules', 'run', 'unserved', '--wait-timeout', '600ms']
    const {message, hint, details} = await failureOf(args, 'TIMEOUT', db)
    const rows = await db.query<{id: string; state: string}>(
      'select id, state from _ayb_jobs where schedule_id = $1',
      [scheduleId],
    )
    expect(rows).toEqual([{id: expect.stringMatching(UUID), state: 'queued'}])
    const jobId = rows[0]?.id
    expect({message, hint, details}).toEqual({
      message: `wait timeout: after 600 ms, the job is still queued; job ${jobId} goes on`,
      hint: `check that a worker is running; ayb jobs show ${jobId}`,
      details: {timeoutMs: 600, timeout: 'wait', jobId},
    })
  })

  test('warns before the wait that no worker is alive', async () => {
    const alone = await createTestDatabase({hasTables: true})
    await insertSchedule(alone, 'unserved', {view: 'leaderboard', nextRunAt: 'null'})
    const running = startAyb(['schedules', 'run', 'unserved', '--wait'], {url: alone.url, timeoutMs: 50_000})
    await running.waitForOutput(/^Warning: no worker is alive/, 30_000)
    running.kill('SIGINT')
    expect((await running.done).stderr.match(/no worker is alive/g)).toHaveLength(1)
  })

  test('says so when the wait ends and the job does not', {timeout: 60_000}, async () => {
    const names = ['canceled', 'deleted', 'cut', 'interrupted']
    for (const name of names) await schedule(name, 'leaderboard')
    const runs = names
      .slice(0, 3)
      .map((name) => startAyb(['schedules', 'run', name, '--wait'], {url: db.url, timeoutMs: 50_000}))
    const terminal = openTerminal(['schedules', 'run', 'interrupted', '--wait'], {url: db.url})
    await Promise.all(runs.map((running) => running.waitForOutput(/Queued job/, 30_000)))
    await terminal.waitFor(/Waiting for job \S+, which is queued {2}\d/, 30_000)
    // A retry in between is not the end of the job.
    for (const name of names) await changeJobs(name, `attempts = 1, last_error = 'a first try'`)
    const [{now: changedAt} = {now: ''}] = await db.query<{now: string}>(
      'select clock_timestamp()::text as now',
    )
    await until(
      async () => {
        const rows = await db.query(
          `select from pg_stat_activity where datname = current_database() and application_name = 'ayb schedules run'
              and state = 'idle' and query_start > $1::timestamptz`,
          [changedAt],
        )
        return rows.length === names.length
      },
      {what: 'another look at each job', timeoutMs: 20_000},
    )
    await changeJobs('canceled', `state = 'canceled', canceled_at = now()`)
    await db.query(
      `delete from _ayb_jobs where schedule_id = (select id from _ayb_job_schedules where name = 'deleted')`,
    )
    terminal.write('\x03')
    const interrupted = await terminal.done
    await Promise.all(runs.slice(0, 2).map(({done}) => done))
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'ayb schedules run'`,
    )
    const ends = await Promise.all(runs.map(({done}) => done))
    const withoutIds = (text: string) => text.replaceAll(/\b[0-9a-f-]{36}\b/g, 'ID')
    expect(ends.map(({code, stderr}) => ({code, stderr: withoutIds(stderr)}))).toEqual([
      {code: 4, stderr: 'Error: job ID was canceled\nHint: ayb jobs show ID\n'},
      {
        code: 3,
        stderr: 'Error: job ID was deleted before ayb saw its end\nHint: list the jobs with: ayb jobs list\n',
      },
      {
        code: 6,
        stderr: expect.stringMatching(
          /^Error: lost the connection to .*; job ID goes on\nHint: .*; ayb jobs show ID\n$/,
        ),
      },
    ])
    expect(interrupted.code).toBe(130)
    expect(withoutIds(stripVTControlCharacters(interrupted.output))).toMatch(
      /Error: canceled by SIGINT; job ID goes on\r\nHint: ayb jobs show ID\r\n$/,
    )
    // The ends of the waits changed no job.
    expect(await db.query(`select from _ayb_jobs where state = 'queued' and attempts = 1`)).toHaveLength(2)
  })
})
