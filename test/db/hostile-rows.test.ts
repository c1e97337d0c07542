import {beforeAll, beforeEach, describe, expect, test} from 'vitest'
import type {Database} from '../../src/db/database.ts'
import {countJobs, findJob} from '../../src/db/jobs.ts'
import {endWorkers} from '../../src/db/locks/liveness.ts'
import {advanceSchedules, timeSchedules} from '../../src/db/queue/advance.ts'
import {claimJobs} from '../../src/db/queue/claims.ts'
import {readDueSchedules, readUntimedSchedules} from '../../src/db/queue/due.ts'
import {planByIndex} from '../../src/db/queue/plans.ts'
import {poll} from '../../src/db/queue/poll.ts'
import {failOrRequeueJob, snoozeJob} from '../../src/db/queue/settle.ts'
import type {Attempt} from '../../src/db/refresh/attempt.ts'
import {recordFailure} from '../../src/db/refresh/failure-record.ts'
import {findRegistration} from '../../src/db/registrations.ts'
import {findSchedule} from '../../src/db/schedules.ts'
import {Session} from '../../src/db/session.ts'
import type {RefreshTarget} from '../../src/lib/records/registrations.ts'
import {FIRST_INSTANT, LAST_INSTANT} from '../../src/lib/records/values.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob, jobOf} from '../support/jobs.ts'
import {openDatabase} from '../support/open-database.ts'
import {register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'

/** What a timestamptz takes, and what documents make of it. */
const INSTANTS = [
  ['infinity', LAST_INSTANT],
  ['294276-12-31 23:59:59.999999Z', LAST_INSTANT],
  ['275760-09-13 00:00:00.001Z', LAST_INSTANT],
  ['10000-01-01Z', LAST_INSTANT],
  ['9999-12-31 23:59:59.999Z', LAST_INSTANT],
  ['0001-01-01Z', FIRST_INSTANT],
  ['0044-03-15Z BC', FIRST_INSTANT],
  ['4713-01-01Z BC', FIRST_INSTANT],
  ['-infinity', FIRST_INSTANT],
] as const
/** The ends of the range, and what lies outside of the years that everybody writes the same. */
const WORST = ['infinity', '294276-12-31', '0044-03-15 BC', '-infinity']
/** No clock of the server will show them before long. */
const AHEAD = ['infinity', '294276-12-31', '2100-01-01']

const VIEW = {view_name: 'leaderboard'}
const KEY = '0123456789abcdef'
const WORKER_ID = `ayb:${KEY}:host:1`

let server: TestDatabase
let db: Database

const claim = () =>
  claimJobs(db, {slots: 10, workerId: WORKER_ID, leaseMs: 60_000, busyViews: [], notBefore: null})
const look = (keyHex = 'fedcba9876543210') =>
  poll(db, {poller: {keys: [keyHex], jobIds: []}, busyViews: [], unreadable: []})

async function claimOne() {
  const [job] = await claim()
  if (!job) throw new Error('nothing was claimed')
  return job
}

beforeAll(async () => {
  server = await createTestDatabase({hasTables: true})
  await register(server, 'leaderboard')
  db = await openDatabase(server, {applicationName: 'ayb worker', keepsStatements: true})
  await planByIndex(db.session)
})

beforeEach(async () => {
  await server.query(
    'with j as (delete from _ayb_jobs), r as (delete from _ayb_matview_refresh_runs) delete from _ayb_job_schedules',
  )
})

describe('an instant that ISO 8601 has no usual text for', () => {
  test.each(INSTANTS)('%s is %s in documents', async (stored, shown) => {
    const jobId = await insertJob(server, VIEW, {
      ...{run_at: stored, lease_until: stored, created_at: stored, updated_at: stored},
      ...{last_run_at: stored, completed_at: stored, canceled_at: stored},
    })
    const job = await findJob(db, jobId)
    expect(job).toMatchObject({runAt: shown, leaseUntil: shown, createdAt: shown, updatedAt: shown})
    expect(job).toMatchObject({lastRunAt: shown, completedAt: shown, canceledAt: shown})
    const id = await insertSchedule(server, 'odd', {view: 'leaderboard'})
    await server.query(
      'update _ayb_job_schedules set next_run_at = $1, last_run_at = $1, created_at = $1, updated_at = $1',
      [stored],
    )
    expect(await findSchedule(db, {id})).toMatchObject({
      ...{nextRunAt: shown, lastRunAt: shown, createdAt: shown, updatedAt: shown},
    })
    await server.query(
      'update _ayb_matview_refreshes set last_refresh_at = $1, created_at = $1, updated_at = $1',
      [stored],
    )
    const view = {schemaName: 'public', viewName: 'leaderboard'}
    expect(await findRegistration(db, view)).toMatchObject({
      ...{lastRefreshAt: shown, createdAt: shown, updatedAt: shown},
    })
  })
})

describe('a look around', () => {
  test.each(WORST)(
    'goes on where a job of its own says that it began at %s, and takes it back',
    async (at) => {
      const values = {state: 'running', worker_id: WORKER_ID, attempts: 1, last_run_at: at}
      const id = await insertJob(server, VIEW, values)
      const next = await insertJob(server, VIEW, {created_at: at, updated_at: at})
      const seen = await look(KEY)
      expect(seen).toMatchObject({
        ownFreshInMs: null,
        rescued: [{jobId: id, state: 'queued'}],
        hasClaimable: true,
      })
      expect((await claim()).map((job) => job.id).sort()).toEqual([id, next].sort())
    },
  )

  test('takes back what somebody has for ever', async () => {
    const values = {state: 'running', worker_id: 'server-1', attempts: 1, lease_until: 'infinity'}
    const id = await insertJob(server, VIEW, values)
    expect((await look()).rescued).toMatchObject([{jobId: id, state: 'queued'}])
  })

  test('takes back a bounded number at once', async () => {
    await server.query(`insert into _ayb_jobs (type, state, attempts, max_attempts)
      select 'materialized_view_refresh', 'running', 1, 1 from generate_series(1, 700)`)
    expect((await look()).rescued).toHaveLength(500)
    expect((await look()).rescued).toHaveLength(200)
  })

  test.each(AHEAD)('tells of a loss after a refresh at %s', async (at) => {
    await server.query(
      `update _ayb_matview_refreshes
      set last_refresh_at = $1, last_refresh_status = 'success'`,
      [at],
    )
    await insertJob(server, VIEW, {state: 'running', attempts: 1, last_run_at: '2020-01-01'})
    await look()
    expect(await server.query('select last_refresh_status as status from _ayb_matview_refreshes')).toEqual([
      {status: 'error'},
    ])
  })
})

describe('a worker that a row names', () => {
  const held = async (client: Awaited<ReturnType<TestDatabase['connect']>>, name: string) => {
    await client.query(`select set_config('application_name', $1, false)`, [name])
    await client.query(`select pg_advisory_lock_shared(('x' || $1)::bit(64)::bigint)`, [KEY])
  }
  const isAlive = async (client: Awaited<ReturnType<TestDatabase['connect']>>) =>
    client.query('select').then(
      () => true,
      () => false,
    )

  test('is not ended where its key is another program’s', async () => {
    const [other, anywhere] = [await server.connect(), await createTestDatabase()]
    await held(other, 'psql')
    await held(await anywhere.connect(), 'ayb worker')
    const [row] = await endWorkers(db.session, [KEY, 'fedcba9876543210'], {awakeMs: 0})
    expect(row).toMatchObject({
      keyHex: KEY,
      ended: 0,
      stranger: expect.stringMatching(/^pid \d+, psql of role/),
    })
    expect(await isAlive(other)).toBe(true)
    await other.end()
  })

  test('is not ended where another role’s sessions hold the key', async () => {
    const role = await server.createRole('other')
    const other = await server.connect()
    await held(other, 'ayb worker')
    const stranger = await Session.open({databaseUrl: role.url, env: {}, applicationName: 'ayb worker'})
    expect(await endWorkers(stranger, [KEY], {awakeMs: 0})).toMatchObject([{ended: 0}])
    expect(await isAlive(other)).toBe(true)
    await Promise.all([other.end(), stranger.close()])
  })

  test('is not ended while any session of it works, and all of it where none does', async () => {
    const [idle, working] = [await server.connect(), await server.connect()]
    await held(idle, 'ayb worker')
    await held(working, 'ayb worker')
    expect(await endWorkers(db.session, [KEY])).toEqual([{keyHex: KEY, ended: 0, stranger: null}])
    expect([await isAlive(idle), await isAlive(working)]).toEqual([true, true])
    expect(await endWorkers(db.session, [KEY], {awakeMs: 0})).toEqual([
      {keyHex: KEY, ended: 2, stranger: null},
    ])
  })
})

describe('a due schedule', () => {
  test.each(WORST)('is moved on though it was changed at %s', async (at) => {
    await insertSchedule(server, 'due', {view: 'leaderboard'})
    await server.query('update _ayb_job_schedules set updated_at = $1, created_at = $1, last_run_at = $1', [
      at,
    ])
    const {due} = await readDueSchedules(db, 10, [])
    const advances = due.map((schedule) => ({...schedule, next: new Date('2100-01-01')}))
    expect(await advanceSchedules(db, advances)).toMatchObject({advanced: 1, enqueued: 1})
    expect(await advanceSchedules(db, advances)).toMatchObject({advanced: 0, enqueued: 0})
  })

  test('is not moved on by two at once', async () => {
    await insertSchedule(server, 'due', {view: 'leaderboard'})
    const {due} = await readDueSchedules(db, 10, [])
    const holder = await server.connect()
    await holder.query('begin')
    await holder.query('update _ayb_job_schedules set name = name')
    const advances = due.map((schedule) => ({...schedule, next: new Date('2100-01-01')}))
    expect(await advanceSchedules(db, advances)).toMatchObject({advanced: 0, enqueued: 0})
    await holder.query('commit')
    expect(await advanceSchedules(db, advances)).toMatchObject({advanced: 0, enqueued: 0})
    await holder.end()
  })

  test.each(AHEAD)('is not held up by a job that is queued for %s', async (at) => {
    const id = await insertSchedule(server, 'due', {view: 'leaderboard'})
    await insertJob(server, VIEW, {schedule_id: id, run_at: at})
    const {due} = await readDueSchedules(db, 10, [])
    const advances = due.map((schedule) => ({...schedule, next: new Date('2100-01-01')}))
    expect(await advanceSchedules(db, advances)).toMatchObject({advanced: 1, enqueued: 1})
  })
})

describe('an enabled schedule without a next run', () => {
  const nextOf = async (id: string) => {
    const [row] = await server.query<{next: string | null}>(
      'select next_run_at::text as next from _ayb_job_schedules where id = $1',
      [id],
    )
    return row?.next
  }

  test.each([null, 'infinity', '294276-12-31', '10000-01-01', '0044-03-15 BC', '-infinity'])(
    'of %s is given one, unless it has just been written',
    async (at) => {
      const id = await insertSchedule(server, 'odd', {view: 'leaderboard', nextRunAt: 'null'})
      const set = (change: string) => server.query(`update _ayb_job_schedules set ${change}`)
      await server.query('update _ayb_job_schedules set next_run_at = $1', [at])
      const read = async () => (await readUntimedSchedules(db, 10, [])).due
      expect(await read()).toEqual([])
      for (const changed of [`now() - interval '2 min'`, `'infinity'`, `'-infinity'`, `'294276-12-31'`]) {
        await set(`updated_at = ${changed}`)
        expect(await read()).toMatchObject([{id}])
      }
      await set('enabled = false')
      expect(await read()).toEqual([])
      await set('enabled = true')
      const outdated = (await read()).map((schedule) => ({...schedule, next: new Date('2030-01-01')}))
      await set('enabled = true')
      expect(await timeSchedules(db, outdated)).toEqual([])
      const fresh = (await read()).map((schedule) => ({...schedule, next: new Date('2030-01-01')}))
      expect(await timeSchedules(db, fresh)).toEqual([id])
      expect(await nextOf(id)).toMatch(/^2030-01-01/)
      expect(await server.query('select from _ayb_jobs')).toEqual([])
    },
  )
})

describe('a job', () => {
  const target: RefreshTarget = {
    ...{id: '00000000-0000-4000-8000-000000000000', refreshMode: 'standard'},
    ...{schemaName: 'public', viewName: 'leaderboard', policy: null},
  }

  test.each(WORST)('that was made at %s is put back', async (at) => {
    const id = await insertJob(server, VIEW, {created_at: at})
    const returned = await snoozeJob(db, await claimOne(), target)
    expect(returned).toEqual({state: 'queued', delayMs: AHEAD.includes(at) ? 1000 : 60_000})
    expect(await jobOf(server, id)).toMatchObject({state: 'queued', attempts: 0})
  })

  test.each([-2_147_483_648, -1, 2_147_483_646])(
    'of %d attempts is claimed and returned',
    async (attempts) => {
      await insertJob(server, VIEW, {attempts, max_attempts: 2_147_483_647})
      const job = await claimOne()
      expect(job.attempt).toBe(Math.max(attempts, 0) + 1)
      expect(await failOrRequeueJob(db, job, {state: 'queued', delayMs: null, isAttemptReturned: true})).toBe(
        'queued',
      )
      expect(await jobOf(server, job.id)).toMatchObject({state: 'queued', attempts: Math.max(attempts, 0)})
    },
  )

  test.each(WORST)('whose attempt somebody dates %s is nobody’s to end', async (at) => {
    await insertJob(server, VIEW)
    const job = await claimOne()
    await server.query('update _ayb_jobs set last_run_at = $1', [at])
    expect(await failOrRequeueJob(db, job, {state: 'failed'})).toBeNull()
    expect((await look(KEY)).rescued).toMatchObject([{jobId: job.id, isOwn: true}])
  })

  test('is counted, however old it is said to be', async () => {
    for (const at of WORST) await insertJob(server, VIEW, {created_at: at})
    const counts = await countJobs(db)
    expect(counts).toMatchObject({queued: WORST.length, running: 0})
    // Since the first instant of documents.
    expect(counts.oldestQueuedAgeSec).toBeGreaterThan(2000 * 365 * 86_400)
    await server.query(`update _ayb_jobs set created_at = 'infinity'`)
    expect(await countJobs(db)).toMatchObject({oldestQueuedAgeSec: 0})
  })
})

test.each(AHEAD)('a failure is told after a refresh at %s', async (at) => {
  await server.query(
    `update _ayb_matview_refreshes set last_refresh_at = $1, last_refresh_status = 'success'`,
    [at],
  )
  const attempt: Attempt = {
    runId: crypto.randomUUID(),
    registration: {
      ...{id: crypto.randomUUID(), schemaName: 'public', viewName: 'leaderboard', refreshMode: 'standard'},
      policy: null,
    },
    ...{
      mode: 'standard',
      job: null,
      reason: null,
      seen: null,
      settings: {timeoutMs: null, lockTimeoutMs: null, postgres: {}},
      lockWaitMs: 0,
      startedAt: '2026-01-01T00:00:00Z',
    },
  }
  const failure = {status: 'error', message: 'why', durationMs: 1, transition: {state: 'failed'}} as const
  await recordFailure(db, attempt, failure)
  const [row] = await server.query(
    'select last_refresh_status as status, last_refresh_error as error from _ayb_matview_refreshes',
  )
  expect(row).toEqual({status: 'error', error: 'why'})
})
