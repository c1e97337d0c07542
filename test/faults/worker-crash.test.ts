import {describe, expect, test} from 'vitest'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, jobOf, lostSince, runsOfJob, untilJob, untilState} from '../support/jobs.ts'
import {startPostgres} from '../support/postgres.ts'
import {inspectProcess} from '../support/processes.ts'
import {
  createGatedView,
  fileOf,
  holdsViewLock,
  leftBehind,
  register,
  registrationOf,
  serverClockMs,
  untilGone,
  untilRefreshing,
} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, say, startWorker, stopWorkers} from '../support/worker.ts'
import {lastStatements, terminateSessions, untilAtRest} from '../support/worker-sessions.ts'

/**
 * What a killed worker may leave on the server for so long, and when its job runs elsewhere at the latest.
 */
const GONE_WITHIN_MS = 5000
const TAKEN_WITHIN_MS = 10_000

describe.concurrent('a worker that is killed', {timeout: 90_000}, () => {
  test('in mid-refresh leaves nothing on the server, and another one goes on', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const victim = await startWorker(db)
    const pid = await untilRefreshing(db, 'slow')
    const before = {file: await fileOf(db, 'slow'), registration: await registrationOf(db, 'slow')}
    expect(await holdsViewLock(db, pid, 'slow')).toBe(true)
    const heir = await startWorker(db)

    const killedAt = await serverClockMs(db)
    victim.kill('SIGKILL')
    expect(await victim.done).toMatchObject({code: null, signal: 'SIGKILL'})
    const goneMs = (await untilGone(db, pid)) - killedAt
    const heirPid = await untilRefreshing(db, 'slow')
    const takenMs = (await serverClockMs(db)) - killedAt
    say(`after SIGKILL: gone after ${Math.round(goneMs)} ms, taken over after ${Math.round(takenMs)} ms`)
    expect(goneMs).toBeLessThan(GONE_WITHIN_MS)
    expect(takenMs).toBeLessThan(TAKEN_WITHIN_MS)
    expect(await holdsViewLock(db, heirPid, 'slow')).toBe(true)
    expect(await jobOf(db, id)).toMatchObject({state: 'running', attempts: 2})
    // Nothing of the first attempt counts as a success: of the registration, only that it failed is new.
    expect(await fileOf(db, 'slow')).toEqual(before.file)
    expect(await registrationOf(db, 'slow')).toEqual({
      ...before.registration,
      last_refresh_at: expect.any(Date),
      last_refresh_status: 'error',
      last_refresh_error: expect.stringContaining('died'),
      updated_at: expect.any(Date),
    })
    expect(await runsOfJob(db, id)).toMatchObject([{status: 'error'}])

    await gate.open()
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'error', error: expect.stringContaining('died'), worker_id: victim.logs()[0]?.workerId},
      {status: 'success', error: null, worker_id: heir.logs()[0]?.workerId},
    ])
    expect(await fileOf(db, 'slow')).not.toEqual(before.file)
    expect(await registrationOf(db, 'slow')).toMatchObject({last_refresh_status: 'success'})
    expect(heir.logs().find(({level}) => level === 'warn')).toMatchObject({
      msg: 'its worker died, queued again:',
      view: 'public.slow',
      jobId: id,
      attempt: 1,
    })
    await stopWorkers([heir])
    // Once: it is still the only success after the heir has gone.
    expect((await runsOfJob(db, id)).filter(({status}) => status === 'success')).toHaveLength(1)
    expect(await leftBehind(db)).toEqual([])
  })

  test('by the same view each time is not tried for ever', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'poison')
    await gate.close()
    const id = await insertJob(db, {view_name: 'poison'}, {max_attempts: 2})
    for (const attempt of [1, 2]) {
      const victim = await startWorker(db)
      await untilJob(db, id, ({attempts, state}) => attempts === attempt && state === 'running', 'running')
      await untilRefreshing(db, 'poison')
      victim.kill('SIGKILL')
      expect(await victim.done).toMatchObject({code: null, signal: 'SIGKILL'})
    }
    const survivor = await startWorker(db)
    expect(await untilState(db, id, 'failed')).toMatchObject({
      attempts: 2,
      worker_id: null,
      last_error: expect.stringContaining('died'),
    })
    expect(await runsOfJob(db, id)).toMatchObject([{status: 'error'}, {status: 'error'}])
    await stopWorkers([survivor])
    expect(await leftBehind(db)).toEqual([])
  })
})

describe.concurrent('a worker whose', {timeout: 90_000}, () => {
  test('control session is ended goes on with its refresh', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    // What is due once that refresh has ended, no poll will find: only a session that listens.
    const worker = await startWorker(db, ['--poll-interval', '10m'])
    const refreshing = await untilRefreshing(db, 'slow')
    const [ended, ...more] = await terminateSessions(db, 'control')
    expect(more).toEqual([])
    expect(ended).not.toBe(refreshing)
    await worker.waitForLog(({msg}) => msg === 'database is back', 'the database')
    expect(await untilRefreshing(db, 'slow')).toBe(refreshing)
    await gate.open()
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1})
    expect(await runsOfJob(db, id)).toMatchObject([{status: 'success'}])

    const unaware = await untilAtRest(db)
    await insertSchedule(db, 'next', {view: 'leaderboard'})
    expect(await lastStatements(db)).toEqual(unaware)
    await db.query('notify ayb_cli_wake')
    await worker.waitForLog(({view}) => view === 'public.leaderboard', 'the next job')
    await stopWorkers([worker])
    expect(worker.logs().filter(({level}) => level !== 'debug' && level !== 'info')).toMatchObject([
      {level: 'error', msg: 'database lost, reconnecting', error: expect.any(String)},
    ])
    // It kept its name: one session was left.
    const names = worker.logs().flatMap(({workerId}) => workerId ?? [])
    expect(new Set(names).size).toBe(1)
  })

  test('refresh session is ended records that, and tries again', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const worker = await startWorker(db)
    const pid = await untilRefreshing(db, 'slow')
    expect(await terminateSessions(db, 'refresh')).toEqual([pid])
    const retried = await untilJob(db, id, ({state}) => state === 'queued', 'queued again')
    expect(retried).toMatchObject({attempts: 1, last_error: expect.stringContaining('lost the connection')})
    expect(await runsOfJob(db, id)).toMatchObject([{status: 'error', error: retried.last_error}])
    expect(await registrationOf(db, 'slow')).toMatchObject({last_refresh_status: 'error'})
    await gate.open()
    await db.query('update _ayb_jobs set run_at = now()')
    await db.query('notify ayb_cli_wake')
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2, last_error: null})
    await stopWorkers([worker])
  })

  test('sessions are all ended begins anew', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const worker = await startWorker(db)
    const pid = await untilRefreshing(db, 'slow')
    const ended = await terminateSessions(db, 'all')
    // The refresh and control, at least.
    expect(ended).toContain(pid)
    expect(ended.length).toBeGreaterThan(1)
    const back = await worker.waitForLog(({msg}) => msg === 'database is back', 'the database')
    expect(back.workerId).not.toBe(worker.logs()[0]?.workerId)
    await gate.open()
    // By whoever is first: itself, which lost the connection, or its new identity, which finds the old one
    // dead.
    await untilJob(db, id, ({state, attempts}) => state !== 'running' || attempts === 2, 'settled')
    await db.query(`update _ayb_jobs set run_at = now() where state = 'queued'`)
    await db.query('notify ayb_cli_wake')
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    expect((await runsOfJob(db, id)).map(({status}) => status)).toEqual(['error', 'success'])
    await stopWorkers([worker])
    expect(worker.logs().filter(({msg}) => msg === 'database lost, reconnecting')).toHaveLength(1)
    expect(worker.logs().filter(({msg}) => msg === 'database is back')).toHaveLength(1)
  })

  test('login is refused says why, each reason once', async () => {
    const db = await createTestDatabase({hasTables: true})
    const role = await db.createRole('worker', {attributes: 'superuser'})
    const worker = await startWorker({url: role.url})
    const refusals = () => worker.logs().filter(({msg}) => msg.startsWith('cannot reconnect'))
    const refuse = (change: string) => db.query(`alter role ${role.name} ${change}`)
    await refuse(`password 'another'`)
    await db.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [role.name])
    await worker.waitForLog(({msg}) => msg.includes('password authentication failed'), 'the first reason')
    // The password is looked at first.
    await refuse(`nologin password '${role.password}'`)
    await worker.waitForLog(({msg}) => msg.includes('not permitted to log in'), 'the second reason')
    await refuse('login')
    await worker.waitForLog(({msg}) => msg === 'database is back', 'the database to be back')
    expect(refusals()).toHaveLength(2)
    await stopWorkers([worker])
  })

  test('claim was lost on the way takes the job back at its next look', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const worker = await startWorker(db, ['--poll-interval', '200ms'])
    const {workerId = ''} = worker.logs()[0] ?? {}
    // What a claim leaves whose answer never arrived.
    const id = await insertJob(
      db,
      {view_name: 'leaderboard'},
      {
        state: 'running',
        worker_id: workerId,
        attempts: 1,
        lease_until: '2100-01-01',
        last_run_at: lostSince(),
      },
    )
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    await stopWorkers([worker])
    expect(complaints([worker])).toMatchObject([
      {jobId: id, msg: 'the answer to its claim or to its end was lost, queued again:'},
    ])
  })
})

test('workers survive a server that crashes and recovers', async () => {
  // What was committed must outlive the crash.
  const server = await startPostgres({settings: {synchronous_commit: 'on'}})
  const {Client} = (await import('pg')).default
  const connect = async () => {
    const client = new Client({connectionString: server.url()})
    client.on('error', () => {})
    await client.connect()
    return client
  }
  const before = await connect()
  await before.query(
    'create materialized view slow as select 1 as one, pg_advisory_xact_lock_shared(1, 1)::text',
  )
  const workers = [await startWorker({url: server.url()}), await startWorker({url: server.url()})]
  await before.query('select pg_advisory_lock(1, 1)')
  await before.query(
    `insert into _ayb_jobs (type, payload) values ('materialized_view_refresh', '{"view_name": "slow"}')`,
  )
  await before.query('notify ayb_cli_wake')
  const [worker] = await Promise.all([
    until(() => workers.find((each) => each.logs().some(({msg}) => msg === 'refreshing')), {
      what: 'a refresh',
      timeoutMs: PATIENCE_MS,
    }),
  ])
  // One backend that is killed has the server end all others and recover.
  const {rows} = await before.query('select pg_backend_pid() as pid')
  const {pid} = rows[0]
  process.kill(pid, 'SIGKILL')
  await until(() => inspectProcess(pid) === undefined, {
    what: `backend ${pid} to end`,
    timeoutMs: PATIENCE_MS,
  })
  for (const each of workers) {
    await each.waitForLog(({msg}) => msg === 'database is back', 'the database to be back')
    expect(each.logs().filter(({msg}) => msg === 'database lost, reconnecting')).toHaveLength(1)
  }
  const after = await connect()
  const job = () => after.query('select id, state, attempts from _ayb_jobs')
  await until(async () => (await job()).rows[0].state !== 'running', {
    what: 'it settled',
    timeoutMs: PATIENCE_MS,
  })
  await after.query(`update _ayb_jobs set run_at = now() where state = 'queued'`)
  await after.query('notify ayb_cli_wake')
  await until(async () => (await job()).rows[0].state === 'completed', {
    what: 'the job',
    timeoutMs: PATIENCE_MS,
  })
  const runs = await after.query('select status from _ayb_matview_refresh_runs order by started_at')
  expect(runs.rows).toEqual([{status: 'error'}, {status: 'success'}])
  expect((await job()).rows[0].attempts).toBe(2)
  expect(worker.logs()[0]?.level).toBe('info')
  await stopWorkers(workers)
  await after.end()
  await server.stop()
}, 120_000)

test.each([{behind: 'a claim'}, {behind: 'a concurrent refresh, which claimed its job'}])(
  'a view whose refresh ends the server runs out of attempts, behind $behind',
  async ({behind}) => {
    // What waits for no disk is lost in each crash.
    const server = await startPostgres({settings: {synchronous_commit: 'on', wal_writer_delay: '10s'}})
    const {Client} = (await import('pg')).default
    const ask = async (sql: string) => {
      const client = new Client({connectionString: server.url()})
      client.on('error', () => {})
      try {
        await client.connect()
        return (await client.query(sql)).rows
      } catch {
        // The server recovers.
        return []
      } finally {
        await client.end().catch(() => {})
      }
    }
    await ask(`create function end_server() returns int language plpgsql as
    $$ begin execute 'copy (select 1) to program ''kill -9 $PPID'''; return 1; end $$`)
    await ask('create materialized view deadly as select public.end_server() as one with no data')
    await ask('create materialized view calm as select 1 as id; create unique index on calm (id)')
    const worker = await startWorker({url: server.url()}, ['--concurrency', '1'])
    await ask(`insert into _ayb_matview_refreshes (schema_name, view_name, refresh_mode)
    values ('public', 'deadly', 'standard'), ('public', 'calm', 'concurrent')`)
    await ask(`with calm as (
      insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
      values ('calm', 'materialized_view_refresh', '{"view_name": "calm"}', '0 3 * * *', now() + interval '1 day') returning *)
    insert into _ayb_jobs (type, payload, max_attempts, schedule_id, run_at)
    select job_type, payload, 100, id, now() - interval '1 min' from calm where ${behind !== 'a claim'}
     union all select 'materialized_view_refresh', '{"view_name": "deadly"}', 2, null, now()`)
    await ask('notify ayb_cli_wake')
    await until(async () => (await ask(`select from _ayb_jobs where state = 'failed'`)).length === 1, {
      what: 'a failed job',
      timeoutMs: 60_000,
    })
    expect(await ask('select attempts from _ayb_jobs where schedule_id is null')).toEqual([{attempts: 2}])
    // The claim behind the concurrent refresh was lost once.
    const refreshes = worker.logs().filter(({msg, view}) => msg === 'refreshing' && view === 'public.deadly')
    expect(refreshes.length).toBeLessThanOrEqual(3)
    await stopWorkers([worker])
    await server.stop()
  },
  120_000,
)
