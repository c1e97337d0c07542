import {describe, expect, test} from 'vitest'
import type {JobDocument, JobStats} from '../../src/lib/records/jobs.ts'
import type {ListedRegistration, RegistrationDetails} from '../../src/lib/records/registrations.ts'
import type {Run} from '../../src/lib/records/runs.ts'
import type {ListedSchedule, ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {
  ATTEMPTS,
  BIGINTS,
  CONTROLS,
  each,
  expectInstants,
  INSTANTS,
  INTEGERS,
  lookAt,
  nested,
  type Row,
  withJson,
} from '../support/hostile-rows.ts'
import {insertJob, jobOf, runsOfJob, untilState} from '../support/jobs.ts'
import {createGatedView, register, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {startServer, stopServers} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, startWorker, stopWorkers} from '../support/worker.ts'

const TYPE = 'materialized_view_refresh'
const PAYLOADS = [
  ...['null', 'true', '5', '"leaderboard"', '[]', '[{"view_name": "leaderboard"}]', '{}', nested(10_000)],
  ...['{"view_name": null}', '{"view_name": 5}', '{"view_name": ["leaderboard"]}', '{"view_name": ""}'],
  ...['{"view_name": "leaderboard", "schema": null}', '{"view_name": "leaderboard", "schema": {"a": 1}}'],
  ...[`{"view_name": "leaderboard", "schema": ${nested(2000)}}`, `{"view_name": ${nested(2000)}}`],
  ...[`{"view_name": "leaderboard", "deep": ${nested(2000)}}`, '{"view_name": 12345678901234567890}'],
  '{"view_name": "leaderboard", "big": 12345678901234567890, "huge": 1e400, "fine": 0.12345678901234567890}',
  ...[JSON.stringify({view_name: CONTROLS}), JSON.stringify({view_name: 'x'.repeat(64)})],
  ...[100_000, 10_000_000].map((length) =>
    JSON.stringify({view_name: 'leaderboard', note: 'x'.repeat(length)}),
  ),
]
const WORKERS = [
  ...['', 'x'.repeat(100), CONTROLS.repeat(4), 'ayb:0123456789abcdef:host:1', 'ayb:0123456789ABCDEF:host:1'],
  ...[
    'ayb:pooled-0123456789abcdef:host:1',
    'ayb:0000000000000000:',
    `ayb:ffffffffffffffff:${'\n'.repeat(79)}`,
  ],
]
const CRONS = [
  '',
  ' ',
  '* * * *',
  '0 0 30 2 *',
  CONTROLS,
  '*,'.repeat(50),
  '9'.repeat(100),
  '@reboot',
  '* * * * * * *',
]
const ZONES = ['', 'Mars/Olympus', '+05:00', CONTROLS, 'IST', 'x'.repeat(50), '../../etc/passwd', '__proto__']
const NAMES = ['', ' ', CONTROLS, 'x'.repeat(60), '"', '.', '550e8400-e29b-41d4-a716-446655440000']

/** A worker refreshes one view once at a time. */
const VIEWS = 8

/** One row for each value in each column of each table; the other columns are as ever. */
const SCHEDULES: Row[] = [
  ...['next_run_at', 'last_run_at', 'created_at', 'updated_at'].flatMap((column) => each(column, INSTANTS)),
  // Due, so that a worker has to move them on.
  ...INSTANTS.map((at) => ({updated_at: at, created_at: at, last_run_at: at, next_run_at: '2020-01-01'})),
  ...[null, ...INSTANTS].map((at) => ({next_run_at: at, updated_at: '2020-01-01'})),
  ...[null, '2020-01-01'].flatMap((at) => [
    ...each('cron_expr', CRONS).map((row) => ({...row, next_run_at: at, updated_at: '2020-01-01'})),
    ...each('timezone', ZONES).map((row) => ({...row, next_run_at: at, updated_at: '2020-01-01'})),
  ]),
  ...each('payload', PAYLOADS).map((row) => ({...row, next_run_at: '2020-01-01'})),
  ...each('max_attempts', ATTEMPTS),
  ...each('name', [...NAMES, 'x'.repeat(100)]),
]
const JOBS: Row[] = [
  ...['queued', 'running'].flatMap((state) =>
    ['run_at', 'lease_until', 'last_run_at', 'created_at', 'updated_at'].flatMap((column) =>
      each(column, INSTANTS).map((row) => ({state, ...row})),
    ),
  ),
  ...['completed', 'failed', 'canceled'].flatMap((state) =>
    ['completed_at', 'canceled_at', 'updated_at'].flatMap((column) =>
      each(column, INSTANTS).map((row) => ({state, ...row})),
    ),
  ),
  ...['queued', 'running'].flatMap((state) => [
    ...each('payload', PAYLOADS).map((row) => ({state, ...row, max_attempts: 1})),
    ...each('attempts', INTEGERS).map((row) => ({state, ...row})),
    ...each('max_attempts', ATTEMPTS).map((row) => ({state, ...row, attempts: 2})),
    ...each('worker_id', WORKERS).map((row) => ({state, ...row, lease_until: '2020-01-01'})),
    ...each('last_error', ['', CONTROLS]).map((row) => ({state, ...row})),
  ]),
]
const REGISTRATIONS: Row[] = [
  ...['last_refresh_at', 'created_at', 'updated_at'].flatMap((column) => each(column, INSTANTS)),
  ...each('last_refresh_duration_ms', INTEGERS),
  ...each('last_refresh_error', ['', CONTROLS]),
  ...each('schema_name', NAMES),
  ...each('view_name', NAMES),
]
const RUNS: Row[] = [
  ...each('started_at', INSTANTS),
  ...each('duration_ms', INTEGERS),
  ...each('size_bytes', BIGINTS),
  ...each('worker_id', WORKERS),
  ...each('error', ['', CONTROLS]),
]

async function insertRows(db: TestDatabase, table: string, usual: Row, rows: readonly Row[]): Promise<void> {
  for (const [position, row] of rows.entries()) {
    const values = {...usual, ...row}
    for (const column of ['name', 'view_name']) {
      if (values[column] === '#') values[column] = `${position}`
    }
    values.payload ??= JSON.stringify({view_name: `v${position % VIEWS}`})
    if (!('payload' in usual)) delete values.payload
    const columns = Object.keys(values)
    await db.query(
      `insert into ${table} (${columns.join(', ')}) values (${columns.map((_, n) => `$${n + 1}`).join(', ')})`,
      Object.values(values),
    )
  }
}

/** A database of hostile rows, and of one view with a schedule that has nothing to do with them. */
async function createHostileDatabase(): Promise<TestDatabase> {
  const db = await createTestDatabase({hasTables: true})
  await db.query('create materialized view canary as select clock_timestamp() as stamp')
  for (let n = 0; n < VIEWS; n++) await db.query(`create materialized view v${n} as select 1 as one`)
  const schedule = {
    name: '#',
    job_type: TYPE,
    payload: '{"view_name": "leaderboard"}',
    cron_expr: '0 0 1 1 *',
  }
  await insertRows(db, '_ayb_job_schedules', schedule, SCHEDULES)
  const job = {type: TYPE, payload: null, last_run_at: '2020-01-01'}
  await insertRows(db, '_ayb_jobs', job, JOBS)
  await insertRows(db, '_ayb_matview_refreshes', {view_name: '#'}, REGISTRATIONS)
  const run = {schema_name: 'public', view_name: 'leaderboard', refresh_mode: 'standard', trigger: 'manual'}
  await insertRows(db, '_ayb_matview_refresh_runs', {...run, status: 'error'}, RUNS)
  await db.query(`insert into _ayb_jobs (type, schedule_id) select '${TYPE}', id from _ayb_job_schedules
    where name = '0' union all select 'send_mail', null`)
  await register(db, 'leaderboard')
  await db.query(
    `insert into _ayb_job_schedules (name, job_type, cron_expr) values ('mail', 'send_mail', '?')`,
  )
  await db.query(`insert into _ayb_jobs (type, schedule_id, payload)
    select '${TYPE}', id, '{"view_name": "leaderboard"}' from _ayb_job_schedules where name = 'mail'`)
  return db
}

/** How often the view that nobody attacks was refreshed, by the server's clock within so many seconds. */
const canaryRuns = async (db: TestDatabase): Promise<number> =>
  (await db.query(`select from _ayb_matview_refresh_runs where view_name = 'canary' and status = 'success'`))
    .length

describe.concurrent('rows that others wrote', {timeout: 240_000}, () => {
  test('are shown by each command and route, with instants that a program can read', async () => {
    const db = await createHostileDatabase()
    const schedules = await lookAt<ListedSchedule[]>(db, ['schedules', 'list'])
    expect(schedules.length).toBe(SCHEDULES.length)
    const jobs = await lookAt<JobDocument['job'][]>(db, ['jobs', 'list', '--limit', '10000'])
    expect(jobs.length).toBe(JOBS.length + 2)
    const registrations = await lookAt<ListedRegistration[]>(db, ['matviews', 'list'])
    expect(registrations.length).toBe(REGISTRATIONS.length + 1)
    const runs = await lookAt<Run[]>(db, ['matviews', 'history', 'leaderboard', '--limit', '1000'])
    expect(runs.length).toBe(RUNS.length)
    const details = await lookAt<RegistrationDetails>(db, ['matviews', 'show', 'leaderboard'])
    const stats = await lookAt<JobStats>(db, ['jobs', 'stats'])
    expect(stats.oldestQueuedAgeSec).toBeGreaterThan(2000 * 365 * 86_400)
    expectInstants([schedules, jobs, registrations, runs, details])

    const numbers = '"big": 12345678901234567890'
    const exact = jobs.find(({payload}) => (payload as {big?: number} | null)?.big)
    const shown = await withJson(db, ['jobs', 'show', exact?.id ?? ''])
    expect(shown.stdout).toContain(numbers)
    expect(shown.stdout).toContain(`"huge": 1${'0'.repeat(400)}`)
    const notes = schedules.filter(({payload}) => (payload as {not_shown?: string} | null)?.not_shown)
    expect(notes).toHaveLength(3)
    expect(notes.map(({payload}) => payload)).toEqual(
      expect.arrayContaining([
        {view_name: 'leaderboard', not_shown: '100040 bytes, more than the 16384 that are shown'},
        {not_shown: expect.stringMatching(/^\d{6} bytes, and at most 16384 are read$/)},
      ]),
    )

    const server = await startServer(db)
    for (const path of [
      ...['/api/admin/schedules', '/api/admin/jobs?limit=500', '/api/admin/jobs?limit=500&offset=300'],
      ...['/api/admin/matviews', '/api/admin/jobs/stats', '/api/admin/matviews/leaderboard'],
      ...[`/api/admin/matviews/leaderboard/history?limit=500`, `/api/admin/jobs/${exact?.id}`],
      `/api/admin/schedules/${schedules[0]?.id}`,
    ]) {
      const answer = await server.get(path)
      expect({path, status: answer.status}, answer.text.slice(0, 500)).toEqual({path, status: 200})
      expectInstants(answer.json())
      if (path.endsWith(`${exact?.id}`)) expect(answer.text).toContain(numbers)
    }
    const metrics = await server.get('/metrics')
    expect(metrics.text).toMatch(/ayb_jobs\{state="queued",[^}]+\} [1-9]/)
    await stopServers([server])

    const pruned = await documentOf<{deleted: number}>(['jobs', 'prune', '--older-than', '1d'], db)
    expect(pruned.deleted).toBeGreaterThan(0)
    expect((await lookAt<JobStats>(db, ['jobs', 'stats'])).queued).toBe(stats.queued)
  })

  test('hold up no worker: what has nothing to do with them runs on time', async () => {
    const db = await createHostileDatabase()
    await insertSchedule(db, 'canary', {view: 'canary', cron: '* * * * * *'})
    const worker = await startWorker(db, ['--listen', '127.0.0.1:0', '--poll-interval', '500ms'])
    const [, address] = await worker.waitForOutput(/listening on (http:[^"]+)/, PATIENCE_MS)
    await until(async () => (await canaryRuns(db)) >= 8, {
      what: '8 refreshes of the canary',
      timeoutMs: 60_000,
    })
    const metrics = await (await fetch(`${address}/metrics`)).text()
    expect(metrics).toMatch(/ayb_jobs\{state="failed",[^}]+\} [1-9]/)
    expect((await fetch(`${address}/readyz`)).status).toBe(200)
    // Nothing that is due, or was running under a dead worker, is left.
    await until(
      async () => {
        const left =
          await db.query(`select from _ayb_jobs where type = '${TYPE}' and payload->>'view_name' is distinct from 'canary'
          and (state = 'running' and (lease_until > now() and lease_until < '10000-01-01') is not true or state = 'queued' and attempts < max_attempts and run_at <= now())`)
        return left.length === 0
      },
      {what: 'all that is due to be done', timeoutMs: 60_000},
    )
    await stopWorkers([worker])
    const log = worker.logs()
    // The database was never lost, and no statement of the worker failed.
    expect(log.filter(({msg}) => /database lost|SQLSTATE|unexpected/.test(msg))).toEqual([])
    const unreadable = log.filter(({msg}) => msg.endsWith('cannot be read and is skipped'))
    expect(unreadable).toHaveLength(2 * (CRONS.length + ZONES.length))
    expect(new Set(unreadable.map(({scheduleId}) => scheduleId)).size).toBe(unreadable.length)
    const timed = log.filter(({msg}) => msg.includes('was enabled without a next run'))
    // Those of infinity, of years past 9999, before 1, and of none.
    expect(timed.length).toBeGreaterThanOrEqual(8)
  })

  test('hold up no worker that does what is due once', async () => {
    const db = await createHostileDatabase()
    await insertSchedule(db, 'canary', {view: 'canary'})
    const once = await ayb(['worker', '--once', '--json'], {url: db.url, timeoutMs: 120_000})
    expect(once.code, once.stderr).toBe(1)
    expect(once.stderr).not.toMatch(/unexpected|SQLSTATE|\n\s+at /)
    expect(await canaryRuns(db)).toBe(1)
    expect(once.json()).toMatchObject({succeeded: expect.any(Number), retried: 0})
  })
})

describe.concurrent('a worker that rows of others name', {timeout: 120_000}, () => {
  test('goes on, and takes back what is said to be its own, whenever that began', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const worker = await startWorker(db, ['--poll-interval', '200ms'])
    const workerId = worker.logs()[0]?.workerId ?? ''
    for (const at of INSTANTS) {
      const forged = {state: 'running', worker_id: workerId, attempts: 1, last_run_at: at, lease_until: at}
      const id = await insertJob(db, {view_name: 'leaderboard'}, forged)
      const next = await insertJob(db, {view_name: 'leaderboard'})
      expect(await untilState(db, next, 'completed')).toMatchObject({attempts: 1})
      expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    }
    await stopWorkers([worker])
    expect(complaints([worker]).map(({msg}) => msg)).toEqual(
      INSTANTS.map(() => 'the answer to its claim or to its end was lost, queued again:'),
    )
  })

  test('is not ended in mid-refresh by another one', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const victim = await startWorker(db, ['--concurrency', '1'])
    await untilRefreshing(db, 'slow')
    const other = await startWorker(db, ['--poll-interval', '100ms'])
    await db.query('create materialized view quick as select 1 as one')
    for (let n = 0; n < 20; n++) {
      const forged = {
        state: 'running',
        worker_id: victim.logs()[0]?.workerId ?? '',
        lease_until: '2020-01-01',
      }
      await insertJob(db, {view_name: 'quick'}, {...forged, attempts: 1})
      await untilState(db, await insertJob(db, {view_name: 'quick'}), 'completed')
    }
    await gate.open()
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1})
    expect(await runsOfJob(db, id)).toMatchObject([{status: 'success'}])
    await stopWorkers([victim, other])
    expect(victim.logs().filter(({msg}) => msg.includes('lost, reconnecting'))).toEqual([])
  })

  test('is told of once where its key is another program’s, whose sessions live on', async () => {
    const db = await createTestDatabase({hasTables: true})
    const key = 'abcdef0123456789'
    const other = await db.connect()
    await other.query(`select pg_advisory_lock_shared(('x' || $1)::bit(64)::bigint)`, [key])
    const forged = {state: 'running', worker_id: `ayb:${key}:host:1`, attempts: 1, lease_until: '2020-01-01'}
    const stuck = await insertJob(db, {view_name: 'leaderboard'}, forged)
    const worker = await startWorker(db, ['--poll-interval', '100ms'])
    for (let n = 0; n < 3; n++) {
      await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    }
    await other.query('select')
    expect((await jobOf(db, stuck)).state).toBe('running')
    await stopWorkers([worker])
    expect(complaints([worker])).toMatchObject([
      {msg: expect.stringMatching(/cannot be ended.*held by pid \d+/)},
    ])
    await other.end()
  })
})

describe.concurrent('schedules that others wrote', {timeout: 120_000}, () => {
  test('do not starve others, however many, and whenever they were changed', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create materialized view canary as select 1 as one')
    await db.query(`insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at, updated_at)
      select n::text, '${TYPE}', '{"view_name": "nosuch"}', '0 0 1 1 *', '2020-01-01',
             case n % 3 when 0 then 'infinity' when 1 then '-infinity'::timestamptz else '0044-03-15 BC' end
        from generate_series(1, 600) n`)
    await insertSchedule(db, 'canary', {view: 'canary', cron: '* * * * * *'})
    const worker = await startWorker(db)
    await until(async () => (await canaryRuns(db)) >= 3, {what: 'three refreshes', timeoutMs: PATIENCE_MS})
    const due = await db.query(`select from _ayb_job_schedules where next_run_at = '2020-01-01'`)
    expect(due).toEqual([])
    await stopWorkers([worker])
  })

  test('and lie behind what their expression says, as after a clock that was ahead, get their next run again', async () => {
    const db = await createTestDatabase({hasTables: true})
    // By a clock 400 days ahead, for a moment: by the expression, that is every second, every night, every
    // year.
    for (const [name, cron] of Object.entries({
      often: '* * * * * *',
      nightly: '0 3 * * *',
      yearly: '0 0 1 1 *',
    })) {
      await insertSchedule(db, name, {view: 'leaderboard', cron, nextRunAt: `now() + interval '400 days'`})
    }
    await insertSchedule(db, 'right', {
      cron: '0 0 1 1 *',
      nextRunAt: `date_trunc('year', now()) + interval '1 year'`,
    })
    await insertSchedule(db, 'soon', {cron: '0 0 1 1 *', nextRunAt: `now() + interval '2 hours'`})
    const kept = () =>
      db.query(
        `select name, next_run_at::text, xmin::text from _ayb_job_schedules where name in ('right', 'soon') order by name`,
      )
    const before = await kept()
    const worker = await startWorker(db, ['--poll-interval', '100ms'])
    await until(
      async () => {
        const left = await db.query(
          `select from _ayb_job_schedules where next_run_at > now() + interval '399 days'`,
        )
        return left.length === 0
      },
      {what: 'each to have its next run', timeoutMs: PATIENCE_MS},
    )
    await until(async () => (await db.query(`select from _ayb_jobs where state = 'completed'`)).length > 0, {
      what: 'the next second',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])
    expect(await kept()).toEqual(before)
    const told = worker.logs().filter(({msg}) => msg.includes('later than its expression says'))
    expect(told.map(({msg}) => / of schedule (\w+) was/.exec(msg)?.[1]).toSorted()).toEqual([
      'nightly',
      'often',
      'yearly',
    ])
  })

  test('and have no next run get one, which is told once; list and show tell of them before', async () => {
    const db = await createTestDatabase({hasTables: true})
    const untimed = [null, '-infinity', 'infinity', '0044-03-15 BC', '294276-12-31']
    for (const [position, at] of untimed.entries()) {
      const id = await insertSchedule(db, `untimed ${position}`, {view: 'leaderboard', nextRunAt: 'null'})
      await db.query(
        `update _ayb_job_schedules set next_run_at = $2, updated_at = '2020-01-01' where id = $1`,
        [...[id, at]],
      )
    }
    await insertSchedule(db, 'unreadable', {view: 'leaderboard', cron: 'now and then', nextRunAt: 'null'})
    await insertSchedule(db, 'viewless', {nextRunAt: `now() + interval '1 day'`})
    await db.query(`update _ayb_job_schedules set updated_at = '2020-01-01'`)

    const list = await ayb(['schedules', 'list', '--json'], db)
    expect(list.code).toBe(0)
    for (const position of untimed.keys()) {
      expect(list.stderr).toContain(`the schedule untimed ${position} has no next run`)
    }
    expect(list.stderr).toContain(
      'the schedule unreadable never runs: invalid cron expression "now and then"',
    )
    expect(list.stderr).toContain('the schedule viewless fails: its payload names no view')
    const {warnings} = await documentOf<ScheduleDocument>(['schedules', 'show', 'untimed 1'], db)
    expect(warnings).toEqual([expect.stringContaining("ayb schedules enable 'untimed 1'")])
    const enabled = await documentOf<ScheduleDocument>(['schedules', 'enable', 'untimed 1'], db)
    expect(enabled.schedule.nextRunAt).toMatch(/^20\d\d-01-01T00:00:00\.000Z$/)

    const worker = await startWorker(db, ['--poll-interval', '100ms'])
    await until(
      async () => {
        const left = await db.query(`select from _ayb_job_schedules where name like 'untimed %'
          and next_run_at is distinct from date_trunc('year', now() at time zone 'utc' + interval '1 year') at time zone 'utc'`)
        return left.length === 0
      },
      {what: 'each to have its next run', timeoutMs: PATIENCE_MS},
    )
    await worker.waitForLog(
      ({msg}) => msg.includes('schedule unreadable cannot be read'),
      'the unreadable one',
    )
    await stopWorkers([worker])
    expect(worker.logs().filter(({msg}) => msg.includes('was enabled without a next run'))).toHaveLength(
      untimed.length - 1,
    )
    expect(worker.logs().filter(({msg}) => msg.includes('cannot be read'))).toHaveLength(1)
    expect(await db.query('select from _ayb_jobs')).toEqual([])
    const healed = await ayb(['schedules', 'list', '--json'], db)
    expect(healed.stderr).not.toContain('untimed')
  })

  test('run though one of their jobs is queued for ever, of which its own command tells', async () => {
    const db = await createTestDatabase({hasTables: true})
    const id = await insertSchedule(db, 'nightly', {view: 'leaderboard'})
    const never = await insertJob(db, {view_name: 'leaderboard'}, {schedule_id: id, run_at: 'infinity'})
    const once = await documentOfWorker(db)
    expect(once).toMatchObject({claimed: 1, succeeded: 1})
    const {job, warnings} = await documentOf<JobDocument>(['jobs', 'show', never], db)
    expect(job.runAt).toBe('9999-12-31T23:59:59.999Z')
    expect(warnings).toEqual([expect.stringContaining(`ayb jobs cancel ${never}`)])
  })
})

async function documentOfWorker(db: TestDatabase): Promise<unknown> {
  return (await ayb(['worker', '--once', '--json'], db)).json()
}
