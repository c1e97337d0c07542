import {spawn} from 'node:child_process'
import {closeSync, openSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import pg from 'pg'
import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob, untilState} from '../support/jobs.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {unprivilegedAccount} from '../support/postgres-binaries.ts'
import {readPidFile, sendSignal} from '../support/postgres-folder.ts'
import {inspectProcess} from '../support/processes.ts'
import {createGatedView, leftBehind, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {type RunningWorker, startWorker, startWorkers, stopWorkers} from '../support/worker.ts'

const STOP_SIGNALS = {smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT'} as const

/** A server whose commits outlive it, and its first database: each query has a session of its own. */
async function startServer(): Promise<{server: PostgresServer; db: TestDatabase}> {
  const server = await startPostgres({settings: {synchronous_commit: 'on'}})
  const connect = async () => {
    const client = new pg.Client({connectionString: server.url()})
    client.on('error', () => {})
    await client.connect()
    return client
  }
  const query = async (sql: string, params: unknown[] = []) => {
    const client = await connect()
    try {
      return (await client.query(sql, params)).rows
    } finally {
      await client.end()
    }
  }
  const db = {url: server.url(), query, connect} as TestDatabase
  await db.query(`create materialized view often as select clock_timestamp() as stamp;
                  create materialized view once as select clock_timestamp() as stamp`)
  return {server, db}
}

/** Tells the server to stop, and waits until it has; resolves with what starts it again as it was. */
async function stopServer(
  server: PostgresServer,
  mode: keyof typeof STOP_SIGNALS,
  meanwhile: () => Promise<void> = async () => {},
): Promise<() => Promise<void>> {
  // Its own note of how it was started: the program, then each argument in quotes.
  const [program = '', ...rest] = readFileSync(join(server.dataDir, 'postmaster.opts'), 'utf8').split(' "')
  const args = rest.map((argument) => argument.trimEnd().slice(0, -1))
  const pid = readPidFile(server.dataDir)?.pid ?? 0
  expect(inspectProcess(pid)?.command).toContain(server.dataDir)
  sendSignal(pid, STOP_SIGNALS[mode])
  await until(() => server.log().includes(`received ${mode} shutdown request`), {
    what: 'the server to be told',
    timeoutMs: PATIENCE_MS,
  })
  await meanwhile()
  await until(() => inspectProcess(pid) === undefined, {what: 'the server to end', timeoutMs: PATIENCE_MS})
  return async () => {
    const log = openSync(join(dirname(server.dataDir), 'log'), 'a')
    const child = spawn(program, args, {
      ...unprivilegedAccount(),
      cwd: '/',
      env: {PATH: process.env.PATH, LC_ALL: 'C'},
      stdio: ['ignore', log, log],
      detached: true,
    })
    closeSync(log)
    child.unref()
    await until(
      () => {
        const found = readPidFile(server.dataDir)
        return found?.pid === child.pid && found?.isReady
      },
      {what: 'the server to start again', timeoutMs: PATIENCE_MS},
    )
  }
}

const LOST = 'database lost, reconnecting'
const BACK = 'database is back'
const logged = (worker: RunningWorker, msg: string) => worker.logs().filter((line) => line.msg === msg)

/** A schedule that comes due once, in ten seconds, and that instant. */
async function scheduleOnce(db: TestDatabase): Promise<{id: string; dueAt: Date}> {
  const id = await insertSchedule(db, 'once', {
    view: 'once',
    nextRunAt: `date_trunc('second', now()) + interval '10 s'`,
  })
  const [row] = await db.query<{next_run_at: Date}>(
    'select next_run_at from _ayb_job_schedules where id = $1',
    [id],
  )
  return {id, dueAt: row?.next_run_at as Date}
}

/** Waits until it is past that instant, by the clock that this machine's server goes by too. */
const untilPast = (instant: Date) =>
  until(() => Date.now() > instant.getTime(), {what: instant.toISOString(), timeoutMs: PATIENCE_MS})

/**
 * Waits for the one job of a schedule that came due while the server was away, and no earlier nor later;
 * returns its id.
 */
async function untilQueued(db: TestDatabase, scheduleId: string): Promise<string> {
  const jobs = await until(
    async () => {
      const found = await db.query<{id: string; was_away: boolean}>(
        `select id, run_at < pg_postmaster_start_time() and created_at >= pg_postmaster_start_time() as was_away
           from _ayb_jobs where schedule_id = $1`,
        [scheduleId],
      )
      return found.length > 0 && found
    },
    {what: 'a job of what was due meanwhile', timeoutMs: PATIENCE_MS},
  )
  expect(jobs).toEqual([{id: jobs[0]?.id, was_away: true}])
  return jobs[0]?.id ?? ''
}

describe.concurrent('a server that is stopped and started again', {timeout: 150_000}, () => {
  test.each(['fast', 'immediate'] as const)(
    '%s, in mid-refresh: its workers lose and double nothing',
    async (mode) => {
      const {server, db} = await startServer()
      const workers = await startWorkers(db, 2)
      const gate = await createGatedView(db, 'slow')
      // Opens when the server ends: the session that holds it ends, too.
      await gate.close()
      await insertSchedule(db, 'each second', {view: 'often', cron: '* * * * * *'})
      const id = await insertJob(db, {view_name: 'slow'})
      await db.query('notify ayb_cli_wake')
      await untilRefreshing(db, 'slow')

      // The last thing before the stop: it is to come due while the server is away.
      const once = await scheduleOnce(db)
      const start = await stopServer(server, mode)
      for (const worker of workers) await worker.waitForLog(({msg}) => msg === LOST, 'it to notice')
      await untilPast(once.dueAt)
      expect(workers.flatMap((worker) => logged(worker, BACK))).toEqual([])
      await start()

      for (const worker of workers) await worker.waitForLog(({msg}) => msg === BACK, 'it to come back')
      expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
      expect((await runsOfJob(db, id)).map(({status}) => status)).toEqual(['error', 'success'])
      const ofOnce = await untilQueued(db, once.id)
      expect(await untilState(db, ofOnce, 'completed')).toMatchObject({run_at: once.dueAt})

      // Each second goes on by itself, before it is ended and counted.
      const [{restarted_at: restartedAt} = {}] = await db.query(
        'select pg_postmaster_start_time() as restarted_at',
      )
      await until(
        async () =>
          (
            await db.query('select from _ayb_jobs where run_at > $1 and completed_at > run_at', [
              new Date(Number(restartedAt) + 3000),
            ])
          ).length > 0,
        {what: 'the seconds that follow', timeoutMs: PATIENCE_MS},
      )
      await db.query('update _ayb_job_schedules set enabled = false, next_run_at = null')
      await until(
        async () =>
          (await db.query(`select from _ayb_jobs where state in ('queued', 'running')`)).length === 0,
        {what: 'all jobs to end', timeoutMs: PATIENCE_MS},
      )
      const jobs = await db.query(
        `select j.state, count(distinct (j.schedule_id, j.run_at))::int as due_times, count(distinct j.id)::int as jobs,
              count(r.id)::int as successes
         from _ayb_jobs j
         left join _ayb_matview_refresh_runs r on r.job_id = j.id and r.status = 'success'
        group by j.state`,
      )
      const total = jobs[0]?.jobs
      expect(total).toBeGreaterThan(3)
      expect(jobs).toEqual([{state: 'completed', due_times: total, jobs: total, successes: total}])

      const ended = workers.map(({done}) => done)
      await stopWorkers(workers)
      expect((await Promise.all(ended)).map(({code}) => code)).toEqual([0, 0])
      for (const worker of workers) {
        expect(logged(worker, LOST)).toHaveLength(1)
        expect(logged(worker, BACK)).toHaveLength(1)
      }
      expect(await leftBehind(db)).toEqual([])
      await server.stop()
    },
  )

  test('immediate, amid concurrent refreshes that wait for no disk: what is recorded is there', async () => {
    const {server, db} = await startServer()
    const views = ['a', 'b', 'c', 'd']
    for (const view of views) {
      await db.query(
        `create materialized view ${view} as
         select 1 as id, clock_timestamp() as stamp, current_setting('synchronous_commit') as waits;
         create unique index on ${view} (id)`,
      )
      expect((await ayb(['matviews', 'register', view, '--mode', 'concurrent'], {url: db.url})).code).toBe(0)
    }
    expect((await ayb(['matviews', 'refresh', 'a'], {url: db.url})).code).toBe(0)
    expect(await db.query('select waits from a')).toEqual([{waits: 'on'}])
    const worker = await startWorker(db)
    for (const view of views) await insertSchedule(db, view, {view, nextRunAt: "'2100-01-01'"})
    await db.query(
      `insert into _ayb_jobs (type, payload, schedule_id)
       select s.job_type, s.payload, s.id from _ayb_job_schedules s, generate_series(1, 125)`,
    )
    await db.query('notify ayb_cli_wake')
    const completed = async () => (await db.query(`select from _ayb_jobs where state = 'completed'`)).length
    await until(async () => (await completed()) > 50, {what: 'refreshes', timeoutMs: PATIENCE_MS})
    const start = await stopServer(server, 'immediate')
    worker.kill('SIGKILL')
    await worker.done
    await start()

    const done = await completed()
    expect(done).toBeGreaterThan(0)
    expect(done).toBeLessThan(500)
    expect(
      await db.query(
        `select from _ayb_jobs j
          where j.state = 'completed'
            and not exists (select from _ayb_matview_refresh_runs r where r.job_id = j.id and r.status = 'success')`,
      ),
    ).toEqual([])
    for (const view of views) {
      const rows = await db.query(
        `select v.waits, v.stamp >= r.started_at and v.stamp <= r.started_at + (r.duration_ms + 1) * interval '1 ms' as is_there
           from ${view} v, (select * from _ayb_matview_refresh_runs
                             where view_name = $1 and status = 'success' order by started_at desc limit 1) r`,
        [view],
      )
      expect(rows, view).toEqual([{waits: 'off', is_there: true}])
    }
    await server.stop()
  })

  test('smart, under an idle worker: that works on while it has sessions, and comes back', async () => {
    const {server, db} = await startServer()
    const worker = await startWorker(db)
    const admin = await db.connect()
    // Its session for refreshes is open from here on.
    await untilState(db, await insertJob(db, {view_name: 'often'}), 'completed')

    let once = {id: '', dueAt: new Date()}
    let meanwhile = ''
    const start = await stopServer(server, 'smart', async () => {
      await until(
        () =>
          db.connect().then(
            (client) => client.end().then(() => false),
            (error) => error.code === '57P03',
          ),
        {what: 'new sessions to be refused', timeoutMs: PATIENCE_MS},
      )
      const before = {query: async (sql, params) => (await admin.query(sql, params)).rows} as TestDatabase
      meanwhile = await insertJob(before, {view_name: 'often'})
      await before.query('notify ayb_cli_wake')
      await untilState(before, meanwhile, 'completed')
      expect(logged(worker, LOST)).toEqual([])
      once = await scheduleOnce(before)
      await before.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ayb worker'`,
      )
      await worker.waitForLog(({msg}) => msg === LOST, 'it to notice')
      await admin.end()
    })
    await untilPast(once.dueAt)
    expect(logged(worker, BACK)).toEqual([])
    await start()

    await worker.waitForLog(({msg}) => msg === BACK, 'it to come back')
    const ofOnce = await untilQueued(db, once.id)
    expect(await untilState(db, ofOnce, 'completed')).toMatchObject({attempts: 1, run_at: once.dueAt})
    expect((await runsOfJob(db, ofOnce)).map(({status}) => status)).toEqual(['success'])
    expect(await jobOf(db, meanwhile)).toMatchObject({state: 'completed', attempts: 1})
    expect(await db.query('select from _ayb_jobs')).toHaveLength(3)
    await stopWorkers([worker])
    expect(logged(worker, LOST)).toHaveLength(1)
    expect(logged(worker, BACK)).toHaveLength(1)
    expect(await leftBehind(db)).toEqual([])
    await server.stop()
  })
})
