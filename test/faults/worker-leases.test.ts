import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, jobOf, lostSince, runsOfJob, untilJob, untilState} from '../support/jobs.ts'
import {freeze} from '../support/processes.ts'
import {
  createGatedView,
  fileOf,
  register,
  registrationOf,
  untilBlocked,
  untilRefreshing,
} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, type RunningWorker, startWorker, stopWorkers} from '../support/worker.ts'
import {lastStatements, terminateSessions} from '../support/worker-sessions.ts'

const SHORT = ['--lease-duration', '1s', '--poll-interval', '200ms']

/**
 * Waits until a worker has refreshed for its first attempt at the job, and what it would record was refused.
 */
async function untilRefused(worker: RunningWorker, id: string): Promise<void> {
  const lost = await worker.waitForLog(
    ({msg, jobId}) => jobId === id && msg.includes('taken over'),
    'the refusal',
  )
  expect(lost).toMatchObject({level: 'warn', attempt: 1})
  expect(worker.logs()).toContainEqual(expect.objectContaining({msg: 'refreshing', jobId: id, attempt: 1}))
}

describe.concurrent('the lease of a job', {timeout: 90_000}, () => {
  test('is renewed while its refresh runs, however long', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const worker = await startWorker(db, ['--lease-duration', '3s', '--poll-interval', '200ms'])
    await untilRefreshing(db, 'slow')
    const first = (await jobOf(db, id)).lease_until as Date
    const other = await startWorker(db, SHORT)
    // Three leases later than at first.
    await until(async () => Number((await jobOf(db, id)).lease_until) - first.getTime() > 9000, {
      what: 'the lease to be renewed',
      timeoutMs: PATIENCE_MS,
    })
    expect(await jobOf(db, id)).toMatchObject({state: 'running', attempts: 1})
    await gate.open()
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1})
    await stopWorkers([worker, other])
    expect(complaints([worker, other])).toEqual([])
  })

  test('that another program holds counts until it is over, and while the view is locked', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    await db.query('create materialized view other as select 1 as one')
    const foreign = {state: 'running', worker_id: 'server-1', attempts: 1, last_run_at: lostSince()}
    const live = await insertJob(db, {view_name: 'other'}, {...foreign, lease_until: '2100-01-01'})
    const locked = await insertJob(db, {view_name: 'leaderboard'}, {...foreign, lease_until: '2020-01-01'})
    const dead = await insertJob(db, {view_name: 'other'}, {...foreign, lease_until: '2020-01-01'})
    const endless = await insertJob(db, {view_name: 'other'}, foreign)
    const locker = await db.connect()
    await locker.query(`select pg_advisory_lock(hashtext('public.leaderboard'))`)
    const worker = await startWorker(db, ['--poll-interval', '200ms'])
    for (const id of [dead, endless]) {
      expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    }
    expect(await jobOf(db, live)).toMatchObject({state: 'running', worker_id: 'server-1', attempts: 1})
    expect(await jobOf(db, locked)).toMatchObject({state: 'running', worker_id: 'server-1', attempts: 1})
    await locker.query('select pg_advisory_unlock_all()')
    expect(await untilState(db, locked, 'completed')).toMatchObject({attempts: 2})
    expect(await runsOfJob(db, locked)).toMatchObject([
      {status: 'error', worker_id: 'server-1', error: 'worker server-1 died or lost its lease'},
      {status: 'success'},
    ])
    await stopWorkers([worker])
  })
})

describe.concurrent('a worker that is stopped past its lease', {timeout: 90_000}, () => {
  test('between claim and refresh is ended, and begins anew when it wakes', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const frozen = await startWorker(db, SHORT)
    // It keeps a session for its first refresh ready: without that one it has to open another.
    await terminateSessions(db, 'spare')
    // The session that it opens for the refresh waits here.
    const barrier = await db.connect()
    await barrier.query('begin; lock table _ayb_cli_migrations in access exclusive mode')
    const id = await insertJob(db, {view_name: 'leaderboard'})
    await untilBlocked(db, '_ayb_cli_migrations')
    await freeze(frozen)
    await barrier.query('rollback')
    const heir = await startWorker(db, SHORT)
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    const heirId = heir.logs()[0]?.workerId
    expect(heir.logs().find(({msg}) => msg.startsWith('ended '))).toMatchObject({
      level: 'warn',
      key: frozen.logs()[0]?.workerId?.slice(4, 20),
    })
    frozen.kill('SIGCONT')
    const back = await frozen.waitForLog(({msg}) => msg === 'database is back', 'the late one to come back')
    // The session that it was about to open outlived that: it refreshes, and finds its claim taken.
    await untilRefused(frozen, id)
    expect(await jobOf(db, id)).toMatchObject({state: 'completed', attempts: 2})
    expect(await runsOfJob(db, id)).toMatchObject([{status: 'error'}, {status: 'success', worker_id: heirId}])

    await stopWorkers([heir])
    const next = await insertJob(db, {view_name: 'leaderboard'})
    await untilState(db, next, 'completed')
    expect(await runsOfJob(db, next)).toMatchObject([{status: 'success', worker_id: back.workerId}])
    await stopWorkers([frozen])
  })

  test('between claim and refresh, and whose sessions nobody can end, refreshes late, and records nothing', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    // As behind a pooler: no session of it shows whose it is, so the lease alone counts, and no session is
    // ended.
    const frozen = await startWorker(db, SHORT, {env: {AYB_POOLED: 'on'}})
    await terminateSessions(db, 'spare')
    const barrier = await db.connect()
    await barrier.query('begin; lock table _ayb_cli_migrations in access exclusive mode')
    const id = await insertJob(db, {view_name: 'leaderboard'})
    await untilBlocked(db, '_ayb_cli_migrations')
    expect(await jobOf(db, id)).toMatchObject({worker_id: frozen.logs()[0]?.workerId, attempts: 1})
    await freeze(frozen)
    await barrier.query('rollback')
    const sessions = await lastStatements(db)
    const heir = await startWorker(db, SHORT)
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    await stopWorkers([heir])
    const pids = (await lastStatements(db)).map(({pid}) => pid)
    expect(pids).toEqual(sessions.map(({pid}) => pid))
    const recorded = async () => ({
      job: await jobOf(db, id),
      runs: await runsOfJob(db, id),
      registration: await registrationOf(db, 'leaderboard'),
    })
    const before = await recorded()
    expect(before).toMatchObject({
      runs: [{status: 'error'}, {status: 'success', worker_id: heir.logs()[0]?.workerId}],
      registration: {last_refresh_status: 'success'},
    })

    const file = await fileOf(db, 'leaderboard')
    frozen.kill('SIGCONT')
    await untilRefused(frozen, id)
    expect(await fileOf(db, 'leaderboard')).not.toEqual(file)
    expect(await recorded()).toEqual(before)
    await stopWorkers([frozen])
    expect(await recorded()).toEqual(before)
    expect(frozen.logs().filter(({msg}) => msg === 'refreshed')).toEqual([])
  })

  test('in mid-refresh keeps its job while the view is locked, and its result stands', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const frozen = await startWorker(db, SHORT)
    await untilRefreshing(db, 'slow')
    await freeze(frozen)
    const other = await startWorker(db, SHORT)
    await untilJob(db, id, ({lease_until}) => Number(lease_until) < Date.now() - 2000, 'past its lease')
    // The other one has looked several times, and does not touch it.
    const later = await insertJob(db, {view_name: 'leaderboard'})
    await untilState(db, later, 'completed')
    expect(await jobOf(db, id)).toMatchObject({state: 'running', attempts: 1})
    await gate.open()
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1})
    frozen.kill('SIGCONT')
    await frozen.waitForLog(({msg, jobId}) => msg === 'refreshed' && jobId === id, 'the answer')
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'success', worker_id: frozen.logs()[0]?.workerId},
    ])
    await stopWorkers([frozen, other])
    expect(complaints([frozen, other])).toEqual([])
  })

  test('with jobs claimed behind its refreshes gives up these alone, and its running refresh goes on', async () => {
    const db = await createTestDatabase({hasTables: true})
    const views = Array.from({length: 56}, (_, position) => `quick_${position}`)
    await db.query(views.map((view) => `create materialized view ${view} as select 1 as one`).join('; '))
    const slow = await createGatedView(db, 'slow')
    const gates = await Promise.all(['first', 'second', 'third'].map((view) => createGatedView(db, view)))
    for (const gate of [slow, ...gates]) await gate.close()
    const inHand = []
    for (const view of ['slow', 'first', 'second', 'third']) {
      inHand.push(await insertJob(db, {view_name: view}, {run_at: '2020-01-01'}))
    }
    const quick = []
    for (const view of views) quick.push(await insertJob(db, {view_name: view}))
    const args = ['--lease-duration', '2s', '--poll-interval', '200ms', '--concurrency', '4']
    const frozen = await startWorker(db, args)
    const backends = []
    for (const view of ['slow', 'first', 'second', 'third']) backends.push(await untilRefreshing(db, view))
    await freeze(frozen)
    await Promise.all(gates.map((gate) => gate.open()))
    // Each backend ends its refresh, claims a job, and locks the view of that job for a client that is
    // stopped.
    const stuck = await until(
      async () => {
        const rows = await db.query<{id: string; view: string}>(
          `select id, payload->>'view_name' as view from _ayb_jobs
            where state = 'running' and payload->>'view_name' like 'quick%'`,
        )
        return rows.length === 3 && rows
      },
      {what: 'three jobs that nobody runs', timeoutMs: PATIENCE_MS},
    )
    const heir = await startWorker(db, args)
    await until(
      async () => (await db.query(`select from _ayb_jobs where state <> 'completed'`)).length === 1,
      {what: 'all jobs but the slow one to be done', timeoutMs: 2 * PATIENCE_MS},
    )
    for (const {id, view} of stuck) {
      expect(await jobOf(db, id)).toMatchObject({state: 'completed', attempts: 2})
      expect((await ayb(['matviews', 'refresh', view], {url: db.url})).code).toBe(0)
    }
    expect(await jobOf(db, inHand[0] as string)).toMatchObject({state: 'running', attempts: 1})
    expect(await untilRefreshing(db, 'slow')).toBe(backends[0])

    await slow.open()
    expect(await untilState(db, inHand[0] as string, 'completed')).toMatchObject({attempts: 1})
    const recorded = () =>
      db.query(`select id, job_id, status, worker_id, error from _ayb_matview_refresh_runs order by id`)
    const before = await recorded()
    frozen.kill('SIGCONT')
    await frozen.waitForLog(({msg}) => msg === 'database is back', 'the late one to come back')
    // What it does late is refused, with or without a session left to try it on: nothing below may change.
    await stopWorkers([frozen, heir])
    expect(await recorded()).toEqual(before)
    expect(await db.query(`select from _ayb_jobs where state <> 'completed'`)).toEqual([])
    // Each job was refreshed once, whoever did.
    const successes = await db.query(
      `select job_id from _ayb_matview_refresh_runs where status = 'success' and job_id is not null`,
    )
    expect(successes).toHaveLength([...inHand, ...quick].length)
  })

  test('is left alone by a role that may not end it, which goes on with everything else', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    await db.query(`create materialized view other as select 1 as one`)
    const role = await db.createRole('weak')
    await db.query(`grant select, insert, update, delete on all tables in schema public to ${role.name};
                    alter materialized view other owner to ${role.name};
                    grant create on schema public to ${role.name}`)
    // A session that holds a key, as a stopped worker's does.
    const key = 'abcdef0123456789'
    const frozen = await db.connect()
    await frozen.query(`select pg_advisory_lock_shared(('x' || $1)::bit(64)::bigint)`, [key])
    const stuck = await insertJob(
      db,
      {view_name: 'leaderboard'},
      {state: 'running', worker_id: `ayb:${key}:host:1`, attempts: 1, lease_until: '2020-01-01'},
    )
    const worker = await startWorker({url: role.url}, ['--poll-interval', '100ms'])
    for (let n = 0; n < 3; n++) {
      await untilState(db, await insertJob(db, {view_name: 'other'}), 'completed')
    }
    expect((await jobOf(db, stuck)).state).toBe('running')
    await frozen.end()
    await untilJob(db, stuck, ({state}) => state !== 'running', 'taken back')
    await stopWorkers([worker])
    expect(worker.logs().filter(({msg}) => msg.includes('cannot be ended'))).toMatchObject([
      {level: 'warn', msg: expect.stringContaining(key)},
    ])
  })
})
