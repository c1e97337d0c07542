import {randomUUID} from 'node:crypto'
import {beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {runSchedule} from '../../src/core/run-schedule.ts'
import {deleteSchedule} from '../../src/core/schedule-deletion.ts'
import {setScheduleEnabled} from '../../src/core/schedules.ts'
import type {Database} from '../../src/db/database.ts'
import {wholeMilliseconds} from '../../src/db/instant.ts'
import {endWorkers, holdLivenessKey, newLivenessKey} from '../../src/db/locks/liveness.ts'
import {endSilentBackends} from '../../src/db/locks/silent-backends.ts'
import {advanceSchedules} from '../../src/db/queue/advance.ts'
import {type ClaimedJob, claimJobs, renewLeases} from '../../src/db/queue/claims.ts'
import {readDueSchedules} from '../../src/db/queue/due.ts'
import type {JobTransition} from '../../src/db/queue/fence.ts'
import {snoozeBlockedJob} from '../../src/db/queue/lock-tries.ts'
import {planByIndex} from '../../src/db/queue/plans.ts'
import {poll} from '../../src/db/queue/poll.ts'
import {retryJob} from '../../src/db/queue/retry.ts'
import {advanceSets} from '../../src/db/queue/set-progress.ts'
import {failOrRequeueJob, returnUnseenJob, snoozeJob} from '../../src/db/queue/settle.ts'
import {type Failure, recordFailure} from '../../src/db/refresh/failure-record.ts'
import {nextRun, parseCron} from '../../src/lib/cron.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob} from '../support/jobs.ts'
import {openDatabase} from '../support/open-database.ts'
import {insertSchedule} from '../support/schedules.ts'
import {until} from '../support/until.ts'

let server: TestDatabase
let db: Database
const VIEW = {view_name: 'leaderboard'}
const KEY = '0123456789abcdef'
const WORKER_ID = `ayb:${KEY}:host:1`

/** A session as the one that a worker claims and looks around on. */
async function open(): Promise<Database> {
  const opened = await openDatabase(server, {applicationName: 'ayb worker', keepsStatements: true})
  await planByIndex(opened.session)
  return opened
}

const claim = (slots = 10, busyViews: string[] = [], notBefore: string | null = null) =>
  claimJobs(db, {slots, workerId: WORKER_ID, leaseMs: 60_000, busyViews, notBefore})

const look = (jobIds: string[] = [], keyHex = 'fedcba9876543210') =>
  poll(db, {poller: {keys: [keyHex], jobIds}, busyViews: [], unreadable: []})

beforeAll(async () => {
  server = await createTestDatabase({hasTables: true})
  db = await open()
})

beforeEach(async () => {
  await server.query('truncate _ayb_jobs, _ayb_job_schedules, _ayb_matview_refresh_runs')
})

test('moving sets on leaves the transaction around it its lock timeout', async () => {
  const rows = await db.session.transaction(async () => {
    await db.session.query(`set local lock_timeout = '60s'`)
    await advanceSets(db, {scheduleIds: [randomUUID()]})
    return db.session.query<{lock_timeout: string}>('show lock_timeout')
  })
  expect(rows).toEqual([{lock_timeout: '1min'}])
})

test('the clock of the database is rounded down: what is due at the full hour is not due before', async () => {
  const at = "timestamptz '2026-03-01 12:59:59.9997+00'"
  const [row] = await server.query<{ms: string}>(`select ${wholeMilliseconds(at)} as ms`)
  const clock = new Date(Number(row?.ms))
  expect(clock.toISOString()).toBe('2026-03-01T12:59:59.999Z')
  expect(nextRun(parseCron('0 13 * * *'), 'UTC', clock)?.toISOString()).toBe('2026-03-01T13:00:00.000Z')
})

describe('a claim', () => {
  test('takes the oldest due jobs, no more than asked for, and none of a busy view', async () => {
    const late = await insertJob(server, VIEW, {run_at: '2020-01-01'})
    const later = await insertJob(server, {schema: 'app', view_name: 'x'}, {run_at: '2020-01-02'})
    await insertJob(server, VIEW, {run_at: '2100-01-01'})
    await insertJob(server, VIEW, {run_at: '2019-01-01', attempts: 3})
    await insertJob(server, VIEW, {run_at: '2019-01-01', type: 'send_mail'})
    expect((await claim(1)).map(({id}) => id)).toEqual([late])
    expect(await claim(10, ['app.x'])).toEqual([])
    expect(await claim()).toMatchObject([{id: later, attempt: 1, workerId: WORKER_ID, registration: null}])
    expect(await jobOf(server, later)).toMatchObject({state: 'running', worker_id: WORKER_ID, attempts: 1})
  })

  test('begins at the oldest that a look around has seen', async () => {
    const older = await insertJob(server, VIEW, {run_at: '2020-01-01 00:00:00.000001'})
    const later = await insertJob(server, VIEW, {run_at: '2020-01-02'})
    const {oldestDue} = await look()
    expect(oldestDue).toBe('2020-01-01T00:00:00.000001Z')
    expect((await claim(10, [], '2020-01-02T00:00:00.000000Z')).map(({id}) => id)).toEqual([later])
    expect((await claim(10, [], oldestDue)).map(({id}) => id)).toEqual([older])
    expect((await look()).oldestDue).toBeNull()
  })

  test.each(['-infinity', '0044-03-15 BC'])('finds a job of the time %s', async (runAt) => {
    const id = await insertJob(server, VIEW, {run_at: runAt})
    const {hasClaimable, oldestDue} = await look()
    expect({hasClaimable, oldestDue}).toEqual({hasClaimable: true, oldestDue: '-infinity'})
    expect(await claim(10, [], oldestDue)).toMatchObject([{id}])
  })

  test('waits for nobody', async () => {
    const held = await insertJob(server, VIEW, {run_at: '2020-01-01'})
    const free = await insertJob(server, VIEW)
    const holder = await server.connect()
    await holder.query('begin')
    await holder.query('select from _ayb_jobs where id = $1 for update', [held])
    expect((await claim()).map(({id}) => id)).toEqual([free])
    await holder.query('rollback')
  })
})

describe('the end of a job', () => {
  test.each([
    [{state: 'failed'} as const, {state: 'failed', attempts: 1}],
    [{state: 'queued', delayMs: 5000, isAttemptReturned: false} as const, {state: 'queued', attempts: 1}],
    [{state: 'queued', delayMs: 0, isAttemptReturned: true} as const, {state: 'queued', attempts: 0}],
  ])('is written as %j', async (end, expected) => {
    await insertJob(server, VIEW)
    const [job] = await claim()
    if (!job) throw new Error('nothing was claimed')
    expect(await failOrRequeueJob(db, job, end, {message: 'why'})).toBe(end.state)
    expect(await jobOf(server, job.id)).toMatchObject({
      ...expected,
      last_error: 'why',
      worker_id: null,
      lease_until: null,
    })
  })

  test('is refused once it is somebody else’s, or another attempt', async () => {
    await insertJob(server, VIEW)
    const [job] = await claim()
    if (!job) throw new Error('nothing was claimed')
    const end = {state: 'failed'} as const
    const registration = {schemaName: 'public', viewName: 'leaderboard', refreshMode: 'standard'} as const
    for (const late of [
      {...job, workerId: 'other'},
      {...job, attempt: 2},
      {...job, token: job.token.replace(/.Z$/, (last) => (last === '0Z' ? '1Z' : '0Z'))},
    ]) {
      expect(await failOrRequeueJob(db, late, end)).toBeNull()
      expect(await snoozeJob(db, late, registration as never)).toBeNull()
    }
    expect(await jobOf(server, job.id)).toMatchObject({state: 'running', attempts: 1})
    expect(await runsOfJob(server, job.id)).toEqual([])
  })

  test('put back, comes after a while that grows with its age, with one skipped run', async () => {
    const registration = {schemaName: 'public', viewName: 'leaderboard', refreshMode: 'standard'} as never
    const id = await insertJob(server, VIEW)
    for (const [age, least, most] of [
      ['0 s', 1000, 1500],
      ['100 s', 25_000, 27_000],
      ['1 day', 60_000, 60_000],
    ] as const) {
      await server.query(`update _ayb_jobs set run_at = now(), created_at = now() - $1::interval`, [age])
      const [job] = await claim()
      if (!job) throw new Error('nothing was claimed')
      const {delayMs = 0} = (await snoozeJob(db, job, registration)) ?? {}
      expect(delayMs).toBeGreaterThanOrEqual(least)
      expect(delayMs).toBeLessThanOrEqual(most)
      expect(await jobOf(server, id)).toMatchObject({state: 'queued', attempts: 0, worker_id: null})
    }
    expect(await runsOfJob(server, id)).toMatchObject([{status: 'skipped'}])
  })
})

describe('a job whose schedule is disabled or deleted while it runs', () => {
  const RETRIED = {state: 'queued', delayMs: 5000, isAttemptReturned: false} as const
  const RETURNED = {state: 'queued', delayMs: 1000, isAttemptReturned: true} as const
  const NAMED = {
    id: randomUUID(),
    schemaName: 'public',
    viewName: 'leaderboard',
    refreshMode: 'standard',
    policy: null,
  } as const
  const record = (job: ClaimedJob, status: Failure['status'], end: JobTransition) => {
    const limits = {
      settings: {timeoutMs: null, lockTimeoutMs: null, postgres: {}},
      reason: null,
      seen: null,
      lockWaitMs: 0,
    }
    const attempt = {
      runId: randomUUID(),
      registration: NAMED,
      mode: NAMED.refreshMode,
      job,
      startedAt: job.token,
    }
    return recordFailure(
      db,
      {...attempt, ...limits},
      {status, message: 'why', durationMs: 5, transition: end},
    )
  }
  const ends: {how: string; state: string; end: (job: ClaimedJob) => Promise<unknown>}[] = [
    {how: 'fails', state: 'failed', end: (job) => failOrRequeueJob(db, job, RETRIED, {message: 'why'})},
    {how: 'fails in mid-refresh', state: 'failed', end: (job) => record(job, 'error', RETRIED)},
    {how: 'loses its worker', state: 'failed', end: () => look()},
    {how: 'is given back', state: 'canceled', end: (job) => failOrRequeueJob(db, job, RETURNED)},
    {how: 'is canceled in mid-refresh', state: 'canceled', end: (job) => record(job, 'canceled', RETURNED)},
    {
      how: 'lets the readers of its view pass',
      state: 'canceled',
      end: (job) => snoozeBlockedJob(db, job, NAMED, {elapsedMs: 1, tries: 1, waitMs: 1, pauseMs: 1}),
    },
    {how: 'finds its view locked', state: 'canceled', end: (job) => snoozeJob(db, job, NAMED)},
    {
      how: 'is given back, since the answer to its claim was lost',
      state: 'canceled',
      async end({id}) {
        // One transaction wrote the run and claimed the job behind it.
        const runId = randomUUID()
        await server.query(
          `with run as (
             insert into _ayb_matview_refresh_runs (id, schema_name, view_name, refresh_mode, trigger, status, worker_id)
             values ('${runId}', 'public', 'leaderboard', 'standard', 'schedule', 'success', '${WORKER_ID}'))
           update _ayb_jobs set updated_at = now() where id = '${id}'`,
        )
        await returnUnseenJob(db, runId)
      },
    },
  ]
  const other = {session: null as Database | null}
  const elsewhere = async () => {
    other.session ??= await open()
    return other.session
  }

  async function claimOne(scheduleId: string): Promise<ClaimedJob> {
    await insertJob(server, VIEW, {schedule_id: scheduleId})
    const [job] = await claim()
    if (!job) throw new Error('nothing was claimed')
    return job
  }

  test.each(ends)('is not queued again when it $how', async ({how, state, end}) => {
    const calls = {
      disabled: async (id: string) =>
        void (await setScheduleEnabled(await elsewhere(), id, {enabled: false})),
      deleted: async (id: string) => void (await deleteSchedule(await elsewhere(), id)),
    }
    for (const [done, callOff] of Object.entries(calls)) {
      // Of a job that nobody could name, nobody can tell whether it had a schedule.
      if (done === 'deleted' && how.includes('claim was lost')) continue
      const scheduleId = await insertSchedule(server, `${done}, ${how}`, {view: 'leaderboard'})
      const job = await claimOne(scheduleId)
      await callOff(scheduleId)
      await end(job)
      const row = await jobOf(server, job.id)
      expect({done, state: row.state, worker: row.worker_id}).toEqual({done, state, worker: null})
      const [ended] = await server.query(
        'select canceled_at is not null as is_canceled from _ayb_jobs where id = $1',
        [job.id],
      )
      expect(ended).toEqual({is_canceled: state === 'canceled'})
    }
  })

  test.each(ends)('by hand, of a disabled schedule, is queued again when it $how', async ({how, end}) => {
    const before = await insertSchedule(server, `off, ${how}`, {view: 'leaderboard'})
    await setScheduleEnabled(db, before, {enabled: false})
    const again = await insertSchedule(server, `off and on, ${how}`, {view: 'leaderboard'})
    for (const scheduleId of [before, again]) {
      const job = await claimOne(scheduleId)
      if (scheduleId === again) {
        await setScheduleEnabled(await elsewhere(), again, {enabled: false})
        await setScheduleEnabled(await elsewhere(), again, {enabled: true})
      }
      await end(job)
      expect(await jobOf(server, job.id)).toMatchObject({state: 'queued', worker_id: null})
      await server.query('delete from _ayb_jobs')
    }
  })
})

describe('a look around', () => {
  test('takes back the job of a worker whose key nobody holds, unless its view is locked', async () => {
    const id = await insertJob(server, VIEW, {state: 'running', worker_id: WORKER_ID, attempts: 1})
    const locker = await server.connect()
    await locker.query(`select pg_advisory_lock(hashtext('public.leaderboard'))`)
    expect((await look()).rescued).toEqual([])
    await locker.query('select pg_advisory_unlock_all()')
    expect((await look()).rescued).toMatchObject([
      {jobId: id, state: 'queued', attempt: 1, workerId: WORKER_ID},
    ])
    expect((await look()).hasClaimable).toBe(true)
    expect(await runsOfJob(server, id)).toMatchObject([{status: 'error', worker_id: WORKER_ID}])
  })

  test('names a worker that lives past its lease, which is ended before its job is taken', async () => {
    const other = await open()
    await holdLivenessKey(other.session, KEY)
    const values = {state: 'running', worker_id: WORKER_ID, attempts: 1}
    const inTime = await insertJob(server, VIEW, {...values, lease_until: '2100-01-01'})
    expect(await look()).toMatchObject({frozenWorkers: [], rescued: []})
    await insertJob(server, VIEW, {...values, lease_until: '2020-01-01'})
    expect(await look()).toMatchObject({frozenWorkers: [KEY], rescued: []})
    const ended = [{keyHex: KEY, ended: 1, stranger: null}]
    expect(await endWorkers(db.session, [KEY], {awakeMs: 0})).toEqual(ended)
    // Its backend may take a moment.
    const rescued = await until(
      async () => {
        const seen = (await look()).rescued
        return seen.length > 0 && seen
      },
      {what: 'its jobs to be taken'},
    )
    expect(rescued).toHaveLength(2)
    expect((await jobOf(server, inTime)).state).toBe('queued')
    await other.close()
  })

  test('of a worker at its own jobs leaves those in hand, and takes back the others', async () => {
    await holdLivenessKey(db.session, KEY)
    const values = {state: 'running', worker_id: WORKER_ID, attempts: 1, lease_until: '2020-01-01'}
    const inHand = await insertJob(server, VIEW, values)
    const lost = await insertJob(server, VIEW, {...values, lease_until: '2100-01-01'})
    const seen = await look([inHand], KEY)
    expect(seen).toMatchObject({frozenWorkers: [], rescued: [{jobId: lost}]})
    expect((await jobOf(server, inHand)).state).toBe('running')
    await renewLeases(db, WORKER_ID, [inHand], 60_000)
    expect(Number((await jobOf(server, inHand)).lease_until)).toBeGreaterThan(Date.now())
    await db.session.query('select pg_advisory_unlock_all()')
  })

  test('of a worker behind a pooler, whose key nobody holds, leaves alone the jobs of others like it', async () => {
    const values = {state: 'running', attempts: 1, lease_until: '2100-01-01'}
    const [mine, others] = [`ayb:pooled-${KEY}:host:1`, 'ayb:pooled-fedcba9876543210:host:2']
    const inHand = await insertJob(server, VIEW, {...values, worker_id: mine})
    const lost = await insertJob(server, VIEW, {...values, worker_id: mine})
    const fresh = await insertJob(server, VIEW, {...values, worker_id: mine})
    const foreign = await insertJob(server, VIEW, {...values, worker_id: others})
    await server.query('update _ayb_jobs set last_run_at = now() where id = $1', [fresh])
    const seen = await look([inHand], KEY)
    expect(seen).toMatchObject({frozenWorkers: [], rescued: [{jobId: lost, workerId: mine}]})
    expect(seen.ownFreshInMs).toBeGreaterThan(0)
    expect((await jobOf(server, foreign)).state).toBe('running')
  })

  test('waits for nobody who holds a registration', async () => {
    await server.query(
      `insert into _ayb_matview_refreshes (view_name) values ('leaderboard') on conflict do nothing`,
    )
    const holder = await server.connect()
    await holder.query('begin')
    await holder.query('select from _ayb_matview_refreshes for update')
    await db.session.query(`set lock_timeout = '2s'`)
    const values = {state: 'running', worker_id: WORKER_ID, attempts: 1, last_run_at: '2020-01-01'}
    const id = await insertJob(server, VIEW, values)
    expect((await look()).rescued).toMatchObject([{jobId: id}])
    await holder.query('rollback')
    await db.session.query('set lock_timeout = 0')
    const next = await insertJob(server, VIEW, values)
    expect((await look()).rescued).toMatchObject([{jobId: next}])
    const [registration] = await server.query('select last_refresh_status from _ayb_matview_refreshes')
    expect(registration).toEqual({last_refresh_status: 'error'})
  })

  test('of a worker that began anew leaves alone what it has in hand under its former key', async () => {
    const inHand = await insertJob(server, VIEW, {state: 'running', worker_id: WORKER_ID, attempts: 1})
    const seen = await poll(db, {
      poller: {keys: ['fedcba9876543210', KEY], jobIds: [inHand]},
      busyViews: [],
      unreadable: [],
    })
    expect(seen.rescued).toEqual([])
    expect((await look([inHand])).rescued).toMatchObject([{jobId: inHand, isOwn: false}])
  })

  test('tells when there is work next', async () => {
    expect(await look()).toMatchObject({hasClaimable: false, nextScheduleInMs: null, nextJobInMs: null})
    await insertSchedule(server, 'next', {view: 'leaderboard', nextRunAt: `now() + interval '1 hour'`})
    await insertSchedule(server, 'mail', {type: 'send_mail'})
    await server.query(`insert into _ayb_jobs (type, run_at) values
      ('materialized_view_refresh', now() + interval '30 min'), ('send_mail', now())`)
    const seen = await look()
    expect(seen.hasClaimable).toBe(false)
    expect(seen.nextScheduleInMs).toBeGreaterThan(3_500_000)
    expect(seen.nextScheduleInMs).toBeLessThanOrEqual(3_600_000)
    expect(seen.nextJobInMs).toBeLessThanOrEqual(1_800_000)
  })
})

describe('a due schedule', () => {
  test('is advanced only as it was read', async () => {
    const dueAt = '2020-01-01 00:00:00.123456Z'
    await insertSchedule(server, 'due', {view: 'leaderboard', nextRunAt: `'${dueAt}'`})
    const read = async () => {
      const {due} = await readDueSchedules(db, 10, [])
      return due.map((schedule) => ({...schedule, next: new Date('2100-01-01')}))
    }
    for (const change of [
      `cron_expr = '0 * * * *'`,
      `timezone = 'Europe/Berlin'`,
      `next_run_at = next_run_at`,
      'updated_at = now()',
    ]) {
      const outdated = await read()
      await server.query(`update _ayb_job_schedules set ${change}`)
      expect(await advanceSchedules(db, outdated)).toMatchObject({advanced: 0, enqueued: 0})
    }
    const advances = await read()
    await insertJob(server, VIEW, {schedule_id: advances[0]?.id ?? null, state: 'failed'})
    expect(await advanceSchedules(db, advances)).toMatchObject({advanced: 1, enqueued: 1})
    expect(await advanceSchedules(db, advances)).toMatchObject({advanced: 0, enqueued: 0})
    const [row] = await server.query<{is_due_time: boolean}>(
      `select j.run_at = $1::timestamptz as is_due_time from _ayb_jobs j where j.state = 'queued'`,
      [dueAt],
    )
    expect(row?.is_due_time).toBe(true)
  })

  test('gets its job behind the jobs of the schedules before', async () => {
    for (let n = 0; n < 20; n++) await insertSchedule(server, `due${n}`, {view: 'leaderboard'})
    const {due} = await readDueSchedules(db, 100, [])
    const advances = due.toReversed().map((schedule) => ({...schedule, next: null}))
    expect(await advanceSchedules(db, advances)).toMatchObject({advanced: 20, enqueued: 20})
    const jobs = await server.query<{schedule_id: string}>('select schedule_id from _ayb_jobs order by ctid')
    expect(jobs.map((job) => job.schedule_id)).toEqual(advances.map(({id}) => id))
  })

  test('adds no job while one of its own is queued', async () => {
    const id = await insertSchedule(server, 'due', {view: 'leaderboard'})
    await insertJob(server, VIEW, {schedule_id: id, run_at: new Date(Date.now() + 3_600_000).toISOString()})
    const {due} = await readDueSchedules(db, 10, [])
    const advances = due.map((schedule) => ({...schedule, next: null}))
    expect(await advanceSchedules(db, advances)).toMatchObject({advanced: 1, enqueued: 0})
    expect((await readDueSchedules(db, 10, [])).due).toEqual([])
  })
})

test('two jobs of one schedule that are retried at once, and a run by hand, queue one job', async () => {
  const scheduleId = await insertSchedule(server, 'retried', {view: 'leaderboard'})
  const failed = {schedule_id: scheduleId, state: 'failed', attempts: 3}
  const ids = [await insertJob(server, VIEW, failed), await insertJob(server, VIEW, failed)]
  const sessions = await Promise.all([open(), open(), open()])
  const holder = await server.connect()
  await holder.query('begin')
  await holder.query('select from _ayb_job_schedules where id = $1 for update', [scheduleId])
  const [first, second, byHand] = sessions as [Database, Database, Database]
  const retries = [retryJob(first, ids[0] ?? ''), retryJob(second, ids[1] ?? '')]
  const queued = runSchedule(byHand, scheduleId)
  const pids = sessions.map(({session}) => session.pid)
  const waiting = `select from pg_stat_activity where pid = any ($1) and wait_event_type = 'Lock'`
  await until(async () => (await server.query(waiting, [pids])).length === 3, {what: 'all three to wait'})
  await holder.query('rollback')
  const retried = (await Promise.all(retries)).filter((job) => job !== null)
  const {job} = await queued
  // Whoever came first: the run by hand finds the job that was retried, or the retries find that of the run.
  expect(retried.every(({id}) => id === job.id)).toBe(true)
  const rows = await server.query(`select id from _ayb_jobs where state = 'queued'`)
  expect(rows).toEqual([{id: job.id}])
})

describe('liveness', () => {
  test('keys stay out of the range of the locks of views', () => {
    const keys = Array.from({length: 1000}, newLivenessKey)
    for (const key of keys) expect(key).toMatch(/^(?!0{8}|f{8})[0-9a-f]{16}$/)
    expect(new Set(keys).size).toBe(1000)
  })

  test('a backend that is idle while its answer is awaited is ended, another one is not', async () => {
    const [idle, busy, gone] = await Promise.all([open(), open(), open()])
    const sleeping = busy.session.query('select pg_sleep(4)')
    const backends = [idle.session, busy.session, gone.session]
    await gone.close()
    const [, , missing] = backends
    expect(await endSilentBackends(db.session, backends)).toEqual([missing?.pid])
    await sleeping
    // Another backend may have that pid by now.
    expect(await endSilentBackends(db.session, [{pid: idle.session.pid, backendStart: '1.0'}])).toEqual([
      idle.session.pid,
    ])
    expect(await idle.session.query('select 1 as one')).toEqual([{one: 1}])
    await idle.close()
    await busy.close()
  }, 60_000)
})

test('a session that was reset keeps its statements anew', async () => {
  const {session} = db
  const ask = async () => {
    const sum = await session.prepare('sum', ['int'], () => 'select $1 + 1 as sum')
    return [
      ...(await session.query('select $1::int as asked', [1])),
      ...(await session.script([`execute ${sum} (1)`])).flat(),
    ]
  }
  const answers = await ask()
  expect(answers).toEqual([{asked: 1}, {sum: expect.anything()}])
  await session.reset()
  expect(await ask()).toEqual(answers)
})

test('a session that was tidied up has its statements, and neither settings nor locks of others', async () => {
  const {session} = db
  const kept = () => session.query<{name: string}>('select name from pg_prepared_statements order by name')
  await session.prepare('to keep', ['int'], () => 'select $1 + 2 as sum')
  const [before, path] = [await kept(), await session.query('show search_path')]
  await session.query("set search_path = public; set lock_timeout = '7s'; select pg_advisory_lock(4711)")
  await session.tidy()
  expect(await kept()).toEqual(before)
  expect(await session.query('show search_path')).toEqual(path)
  expect(await session.query('show lock_timeout')).toEqual([{lock_timeout: '0'}])
  expect(
    await session.query("select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"),
  ).toEqual([])
  await session.begin()
  await session.tidy()
  expect(await session.query('select now() = statement_timestamp() as is_new')).toEqual([{is_new: true}])
})
