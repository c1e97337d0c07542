import pg from 'pg'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import type {ViewStatus} from '../../src/lib/records/freshness.ts'
import {type AybOptions, ayb, type RunningAyb, startAyb} from '../support/ayb.ts'
import {documentOf, parseFailure} from '../support/documents.ts'
import {listenTo} from '../support/events.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {readPidFile} from '../support/postgres-folder.ts'
import {inspectProcess} from '../support/processes.ts'
import {startServer, stopServers} from '../support/serve.ts'
import {ask, startStandby, untilCaughtUp} from '../support/standby.ts'
import {fillTemplate} from '../support/template.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {type LogLine, startWorker} from '../support/worker.ts'

const QUEUED = '550e8400-e29b-41d4-a716-446655440001'
const FAILED = '550e8400-e29b-41d4-a716-446655440002'
const WAITING = 'the server is in recovery: waiting until it is promoted'

interface Pair {
  primary: PostgresServer
  standby: PostgresServer
}

const started: PostgresServer[] = []

afterAll(async () => {
  for (const server of started) await server.stop()
})

/** The example on a server with a standby; `prepare` is run on the server before the copy is made. */
async function startPair(prepare: string): Promise<Pair> {
  const primary = await startPostgres()
  started.push(primary)
  const client = new pg.Client({connectionString: primary.url()})
  await client.connect()
  await fillTemplate(client)
  await documentOf(['migrate'], {url: primary.url()})
  await documentOf(['matviews', 'register', 'leaderboard'], {url: primary.url()})
  await client.query(prepare)
  await client.end()
  const standby = await startStandby(primary, {log_connections: 'on'})
  started.push(standby)
  expect(await isInRecovery(standby)).toBe(true)
  return {primary, standby}
}

async function connect(server: PostgresServer): Promise<pg.Client> {
  const client = new pg.Client({connectionString: server.url()})
  client.on('error', () => {})
  await client.connect()
  return client
}

async function isInRecovery(server: PostgresServer): Promise<boolean> {
  const [row] = await ask<{pg_is_in_recovery: boolean}>(server, 'select pg_is_in_recovery()')
  return row?.pg_is_in_recovery === true
}

/** Ends the primary for good, and makes its standby the primary. */
async function failOver({primary, standby}: Pair): Promise<void> {
  await stopPrimary(primary)
  await promote(standby)
}

async function stopPrimary(primary: PostgresServer): Promise<void> {
  const pid = readPidFile(primary.dataDir)?.pid ?? 0
  expect(inspectProcess(pid)).toBeDefined()
  await primary.stop()
  expect(inspectProcess(pid)).toBeUndefined()
}

async function promote(standby: PostgresServer): Promise<void> {
  expect(await ask(standby, 'select pg_promote()')).toEqual([{pg_promote: true}])
  expect(await isInRecovery(standby)).toBe(false)
}

const linesOf = (worker: RunningAyb): LogLine[] =>
  worker
    .stdout()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as LogLine)

const countOf = (worker: RunningAyb, msg: string) => linesOf(worker).filter((line) => line.msg === msg).length

/** A worker that may have to wait before it says that it started. */
const startWaiting = (server: PostgresServer, args: string[] = []) =>
  startAyb(['worker', '--poll-interval', '200ms', ...args], {url: server.url(), timeoutMs: 120_000})

describe('on a standby', () => {
  let primary: PostgresServer
  let standby: PostgresServer
  let options: AybOptions

  beforeAll(async () => {
    ;({primary, standby} = await startPair(
      `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
       values ('nightly', 'materialized_view_refresh', '{"schema": "public", "view_name": "leaderboard"}', '0 3 * * *',
               now() + interval '1 day');
       insert into _ayb_jobs (id, type, state, payload)
       values ('${QUEUED}', 'materialized_view_refresh', 'queued', '{"view_name": "leaderboard"}'),
              ('${FAILED}', 'materialized_view_refresh', 'failed', '{"view_name": "leaderboard"}');
       insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, status)
       values ('public', 'leaderboard', 'standard', 'manual', 'canceled');
       create materialized view other as select 1 as one;`,
    ))
    await ask(primary, 'create database bare template template0')
    await untilCaughtUp(standby, primary)
    options = {url: standby.url()}
  })

  test.each(
    [
      ['matviews', 'register', 'other'],
      ['matviews', 'register', 'leaderboard', '--if-not-exists'],
      ['matviews', 'update', 'leaderboard', '--mode', 'standard'],
      ['matviews', 'unregister', 'leaderboard'],
      ['matviews', 'refresh', 'leaderboard'],
      ['matviews', 'refresh', 'leaderboard', '--wait', '--timeout', '5s'],
      ['schedules', 'create', '--name', 'hourly', '--cron', '@hourly', '--view', 'leaderboard'],
      ['schedules', 'update', 'nightly', '--cron', '0 4 * * *'],
      ['schedules', 'enable', 'nightly'],
      ['schedules', 'disable', 'nightly'],
      ['schedules', 'delete', 'nightly'],
      ['schedules', 'run', 'nightly'],
      ['jobs', 'retry', FAILED],
      ['jobs', 'cancel', QUEUED],
      ['jobs', 'prune', '--older-than', '1d'],
      ['migrate'],
    ].map((args) => [args.join(' '), args] as const),
  )('ayb %s is refused as READ_ONLY', async (_, args) => {
    const result = await ayb([...args, '--json'], options)
    expect({exitCode: result.code, ...parseFailure(result)}).toMatchObject({
      exitCode: 6,
      code: 'READ_ONLY',
      status: 503,
      message: 'this server is in recovery: it follows another server and takes no writes',
      hint: expect.stringContaining('target_session_attrs=read-write'),
      details: {reason: 'recovery'},
    })
  })

  test('a refusal is one line with a hint', async () => {
    expect(await ayb(['matviews', 'refresh', 'leaderboard'], options)).toMatchObject({
      code: 6,
      stdout: '',
      stderr: expect.stringMatching(/^Error: this server is in recovery: [^\n]+\nHint: [^\n]+\n$/),
    })
  })

  test.each(
    [
      ['matviews', 'list'],
      ['matviews', 'show', 'leaderboard'],
      ['matviews', 'discover'],
      ['matviews', 'history', 'leaderboard'],
      ['schedules', 'list'],
      ['schedules', 'show', 'nightly'],
      ['jobs', 'list'],
      ['jobs', 'show', QUEUED],
      ['jobs', 'stats'],
      ['migrate', '--dry-run'],
    ].map((args) => [args.join(' '), args] as const),
  )('ayb %s answers as on the primary', async (_, args) => {
    const comparable = (document: unknown) =>
      JSON.parse(
        // Ages grow, and free space maps, which are part of the size, are not replicated.
        JSON.stringify(document, (key, value) =>
          ['sizeBytes', 'oldestQueuedAgeSec'].includes(key) ? undefined : value,
        ),
      )
    const result = await ayb([...args, '--json'], options)
    const document = result.json() as {warnings?: string[]}
    const warnings = [result.stderr, ...(document.warnings ?? [])].join('\n')
    const isOfRunning = ['matviews list', 'matviews show leaderboard'].includes(args.join(' '))
    expect(warnings.includes('does not show what the primary refreshes right now')).toBe(isOfRunning)
    if (isOfRunning && document.warnings) document.warnings = []
    const seen = comparable(document)
    expect(seen).toEqual(comparable(await documentOf(args, {url: primary.url()})))
    expect(JSON.stringify(seen).length).toBeGreaterThan(10)
  })

  test('views are as fresh as the standby knows, and it knows neither workers nor who refreshes now', async () => {
    const [status] = await documentOf<ViewStatus[]>(['matviews', 'status', 'leaderboard'], {
      url: primary.url(),
    })
    const seen = await ayb(['matviews', 'status', 'leaderboard', '--json'], options)
    expect(seen).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('does not show what the primary refreshes right now'),
    })
    const {state, freshAsOf, lastSuccessAt} = status as ViewStatus
    expect(seen.json()).toMatchObject([{state, freshAsOf, lastSuccessAt, running: null}])
    const workers = await ayb(['worker', 'list', '--json'], options)
    expect(workers).toMatchObject({code: 0, stderr: expect.stringContaining('standby')})
    expect(workers.json()).toEqual([])
    const server = await startServer({url: standby.url()})
    const {text} = await server.get('/metrics', {token: null})
    expect(text).toContain('ayb_view_fresh_timestamp_seconds{view="public.leaderboard"')
    expect(text).not.toMatch(/^ayb_(workers|view_running_seconds)[{ ]/m)
    await stopServers([server])
  })

  test('a listener is told of a refresh on the primary', async () => {
    const server = await startServer({url: standby.url()})
    const listener = await listenTo(server, 'leaderboard')
    await documentOf(['matviews', 'refresh', 'leaderboard'], {url: primary.url()})
    const [run] = await ask<{id: string}>(
      primary,
      'select id from _ayb_matview_refresh_runs order by started_at desc limit 1',
    )
    expect((await listener.untilEvents(1)).map(({id}) => id)).toEqual([run?.id])
    listener.close()
    await stopServers([server])
  })

  test('a database without the tables is empty, and stays as it is', async () => {
    const bare = {url: standby.url('bare')}
    expect(await documentOf(['matviews', 'list'], bare)).toEqual([])
    expect(await documentOf(['matviews', 'status'], bare)).toEqual([])
    for (const args of [['migrate'], ['jobs', 'prune', '--older-than', '1d']]) {
      const result = await ayb([...args, '--json'], bare)
      expect({exitCode: result.code, code: parseFailure(result).code}).toEqual({
        exitCode: 6,
        code: 'READ_ONLY',
      })
    }
  })

  test('a URL as the hint has it finds the primary behind it', async () => {
    const url = new URL(standby.url())
    const hosts = `${url.host},${new URL(primary.url()).host}`
    const both = `postgres://${url.username}:${url.password}@${hosts}${url.pathname}`
    expect(
      (await ayb(['matviews', 'refresh', 'leaderboard'], {url: `${both}?target_session_attrs=any`})).code,
    ).toBe(6)
    await documentOf(['matviews', 'refresh', 'leaderboard'], {
      url: `${both}?target_session_attrs=read-write`,
    })
    expect(await ask(primary, 'select last_refresh_status as status from _ayb_matview_refreshes')).toEqual([
      {status: 'success'},
    ])
  })

  test('a read that recovery cancels is TRY_AGAIN', async () => {
    await ask(standby, 'alter system set max_standby_streaming_delay = 0')
    await ask(standby, 'select pg_reload_conf()')
    const [locker, other] = await Promise.all([connect(primary), connect(primary)])
    // Whatever the list waits for the schedules with, it holds a lock on the defaults of columns or on the
    // registrations.
    await locker.query('begin; lock table _ayb_job_schedules in access exclusive mode')
    await untilCaughtUp(standby, primary)
    const reading = ayb(['matviews', 'list', '--json'], options)
    await until(
      async () =>
        (
          await ask(
            standby,
            `select from pg_stat_activity where application_name like 'ayb %' and wait_event_type = 'Lock'`,
          )
        ).length > 0,
      {what: 'the list to wait', timeoutMs: PATIENCE_MS},
    )
    await other.query('begin; lock table pg_attrdef, _ayb_matview_refreshes in access exclusive mode; commit')
    const result = await reading
    await Promise.all([locker.end(), other.end()])
    await ask(standby, 'alter system reset max_standby_streaming_delay')
    await ask(standby, 'select pg_reload_conf()')
    expect({exitCode: result.code, ...parseFailure(result)}).toMatchObject({
      exitCode: 6,
      code: 'TRY_AGAIN',
      status: 503,
      message: expect.stringContaining('(SQLSTATE 40001)'),
      hint: expect.stringContaining('try again'),
      details: {sqlstate: '40001'},
    })
    expect((await ayb(['matviews', 'list', '--json'], options)).json()).toHaveLength(1)
  })

  test('a worker that does what is due once ends with READ_ONLY', async () => {
    const worker = await ayb(['worker', '--once', '--json'], {url: standby.url(), timeoutMs: 60_000})
    expect(worker.code).toBe(6)
    expect(parseFailure(worker)).toMatchObject({code: 'READ_ONLY', details: {reason: 'recovery'}})
  })

  test('a worker that waits ends at SIGTERM', async () => {
    const worker = startWaiting(standby)
    await worker.waitForOutput(/waiting until it is promoted/, PATIENCE_MS)
    worker.kill('SIGTERM')
    expect(await worker.done).toMatchObject({code: 0, signal: null, stderr: ''})
  })
})

describe('a promotion', {timeout: 120_000}, () => {
  test('is what a worker on the standby waits for with one line, to run what came due meanwhile', async () => {
    const pair = await startPair(
      `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
       values ('yearly', 'materialized_view_refresh', '{"view_name": "leaderboard"}', '0 0 1 1 *', now())`,
    )
    const {primary, standby} = pair
    await untilCaughtUp(standby, primary)
    const worker = startWaiting(standby, ['--listen', '127.0.0.1:0'])
    await worker.waitForOutput(/waiting until it is promoted/, PATIENCE_MS)
    // It goes on looking, and says no more of it.
    const attempts = () => standby.log().match(/authorized.*application_name=ayb worker/g)?.length ?? 0
    await until(() => attempts() > 4, {what: 'five looks at the standby', timeoutMs: PATIENCE_MS})
    const [, base] = await worker.waitForOutput(/listening on (http:\/\/127\.0\.0\.1:\d+)/)
    expect((await fetch(`${base}/readyz`)).status).toBe(503)
    expect((await fetch(`${base}/healthz`)).status).toBe(200)
    const [due] = await ask<{at: string; is_due: boolean}>(
      standby,
      `select next_run_at::text as at, next_run_at <= now() as is_due from _ayb_job_schedules`,
    )
    expect(due?.is_due).toBe(true)
    expect(await ask(standby, 'select from _ayb_jobs')).toEqual([])

    await failOver(pair)
    await until(() => linesOf(worker).some(({msg}) => msg === 'refreshed'), {
      what: 'the refresh',
      timeoutMs: PATIENCE_MS,
    })
    expect(await ask(standby, 'select state, attempts, run_at::text as at from _ayb_jobs')).toEqual([
      {state: 'completed', attempts: 1, at: due?.at},
    ])
    expect(await ask(standby, 'select last_refresh_status as status from _ayb_matview_refreshes')).toEqual([
      {status: 'success'},
    ])
    expect((await fetch(`${base}/readyz`)).status).toBe(200)
    worker.kill('SIGTERM')
    expect((await worker.done).code).toBe(0)
    const lines = linesOf(worker).filter(({msg}) => !msg.startsWith('listening'))
    expect(lines.map(({level, msg}) => `${level} ${msg.replace(/, .*/, '')}`)).toEqual([
      `warn ${WAITING}`,
      'info database is back',
      'info worker started',
      'info refreshed',
      'info SIGTERM: stopping',
      'info worker stopped',
    ])
  })

  test('is waited for by a worker whose primary dies in mid-refresh, which then goes on there', async () => {
    const pair = await startPair(
      `create materialized view slow as select 1 as one, pg_advisory_xact_lock_shared(1, 1)::text as gate;
       insert into _ayb_matview_refreshes (view_name) values ('slow')`,
    )
    const {primary, standby} = pair
    const keeper = new pg.Client({connectionString: primary.url()})
    keeper.on('error', () => {})
    await keeper.connect()
    await keeper.query('select pg_advisory_lock(1, 1)')
    await keeper.query(
      `insert into _ayb_jobs (id, type, payload)
       values ('${QUEUED}', 'materialized_view_refresh', '{"view_name": "slow"}')`,
    )
    const url = new URL(primary.url())
    const hosts = `${url.host},${new URL(standby.url()).host}`
    const worker = await startWorker(
      {url: `postgres://${url.username}:${url.password}@${hosts}${url.pathname}`},
      ['--poll-interval', '200ms'],
    )
    await until(
      async () =>
        (
          await ask(
            primary,
            `select from pg_stat_activity where query like '%refresh materialized view "public"."slow"%'
                and state = 'active' and wait_event = 'advisory'`,
          )
        ).length === 1,
      {what: 'the refresh', timeoutMs: PATIENCE_MS},
    )
    await untilCaughtUp(standby, primary)
    expect(await ask(standby, 'select state, attempts from _ayb_jobs')).toEqual([
      {state: 'running', attempts: 1},
    ])

    await stopPrimary(primary)
    await worker.waitForLog(({msg}) => msg === WAITING, 'that it waits')
    await promote(standby)
    await until(
      async () =>
        (await ask<{state: string}>(standby, 'select state from _ayb_jobs'))[0]?.state === 'completed',
      {what: 'the job', timeoutMs: PATIENCE_MS},
    )
    expect(await ask(standby, 'select attempts from _ayb_jobs')).toEqual([{attempts: 2}])
    expect(await ask(standby, 'select status from _ayb_matview_refresh_runs order by started_at')).toEqual([
      {status: 'error'},
      {status: 'success'},
    ])
    expect(countOf(worker, 'database lost, reconnecting')).toBe(1)
    expect(countOf(worker, WAITING)).toBe(1)
    expect(countOf(worker, 'database is back')).toBe(1)
    worker.kill('SIGTERM')
    expect((await worker.done).code).toBe(0)
    await keeper.end().catch(() => {})
  })
})
