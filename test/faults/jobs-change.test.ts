import {beforeAll, describe, expect, test} from 'vitest'
import type {Job, JobDocument} from '../../src/lib/records/jobs.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf} from '../support/documents.ts'
import {insertAgedJob, JOB_KEYS, jobOf, STORED_STATES} from '../support/jobs.ts'
import {createSchedule} from '../support/schedules.ts'

const UNKNOWN_ID = '550e8400-e29b-41d4-a716-446655440000'
/** Nothing listens there: whoever gets as far as connecting fails with another code. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}

let db: TestDatabase
let scheduleId: string
let foreign: string
/** One of each state, by state, the newest first. */
const jobs = {} as Record<Job['state'], string>

beforeAll(async () => {
  db = await createTestDatabase()
  scheduleId = (await createSchedule(db, 'nightly')).id
  const schedules: Partial<Record<Job['state'], string>> = {
    failed: scheduleId,
    queued: (await createSchedule(db, 'hourly')).id,
  }
  for (const [position, state] of STORED_STATES.entries()) {
    jobs[state] = await insertAgedJob(db, {
      state,
      attempts: position,
      createdAge: 100 * (position + 1),
      endedAge: 10,
      scheduleId: schedules[state] ?? null,
      lastError: state === 'failed' ? 'division\tby zero\nand more' : null,
    })
  }
  foreign = await insertAgedJob(db, {type: 'send_mail', state: 'failed', scheduleId, createdAge: 5000})
})

describe('a job that is not there', () => {
  test.each(['show', 'retry', 'cancel'])('is not found by %s, nor is one of another type', async (name) => {
    for (const id of [UNKNOWN_ID, foreign]) {
      const failure = await failureOf(['jobs', name, id], 'JOB_NOT_FOUND', db)
      expect(failure).toMatchObject({status: 404, message: `there is no job ${id}`})
      expect(failure.hint).toContain('ayb jobs list')
    }
    expect(await ayb(['jobs', name, UNKNOWN_ID], db)).toMatchObject({code: 3, stdout: ''})
    expect((await jobOf(db, foreign)).state).toBe('failed')
  })

  test.each(['show', 'retry', 'cancel'])('has an id, says %s', async (name) => {
    const failure = await failureOf(['jobs', name, UNKNOWN_ID.slice(1)], 'INVALID_ARGUMENT', NOWHERE)
    expect(failure.message).toBe(
      `"${UNKNOWN_ID.slice(1)}" is neither the id of a job nor the beginning of an id`,
    )
    const missing = await failureOf(['jobs', name], 'INVALID_ARGUMENT', NOWHERE)
    expect(missing.message).toContain('needs JOB')
  })
})

describe('ayb jobs retry', () => {
  test('queues no second job of a schedule, and names the one that is queued', async () => {
    const own = (await createSchedule(db, 'weekly')).id
    const failed = await insertAgedJob(db, {state: 'failed', attempts: 3, endedAge: 60, scheduleId: own})
    const queued = await insertAgedJob(db, {state: 'queued', scheduleId: own})
    const failure = await failureOf(['jobs', 'retry', failed], 'JOB_STATE_CONFLICT', db)
    expect(failure.message).toContain(`its schedule already has a queued job, ${queued}`)
    expect(failure.details).toEqual({state: 'failed', queuedJobId: queued})
    expect((await jobOf(db, failed)).state).toBe('failed')
    await documentOf(['jobs', 'cancel', queued], db)
    expect((await documentOf<JobDocument>(['jobs', 'retry', failed], db)).job.state).toBe('queued')
  })

  test('queues a failed job again, with all its attempts', async () => {
    const id = await insertAgedJob(db, {
      state: 'failed',
      attempts: 3,
      lastError: 'oops',
      endedAge: 60,
      scheduleId,
    })
    await db.query(
      `update _ayb_jobs set run_at = now() - interval '1 hour', completed_at = now(), worker_id = 'w', lease_until = now()
        where id = $1`,
      [id],
    )
    const [before] = await db.query<{now: Date}>('select now()')
    const document = await documentOf<JobDocument>(['jobs', 'retry', id], db)
    expect(keysOf(document)).toEqual(['job', 'warnings'])
    expect(keysOf(document.job)).toEqual(JOB_KEYS)
    expect(document.job).toMatchObject({
      id,
      state: 'queued',
      attempts: 0,
      maxAttempts: 3,
      lastError: null,
      workerId: null,
      leaseUntil: null,
      completedAt: null,
      canceledAt: null,
      scheduleId,
    })
    expect(Date.parse(document.job.runAt ?? '')).toBeGreaterThanOrEqual(before?.now.getTime() ?? Number.NaN)
    await db.query('delete from _ayb_jobs where id = $1', [id])
  })

  test('says so on one line of text, and wakes the workers', async () => {
    const listener = await db.connect()
    await listener.query('listen ayb_cli_wake')
    const heard = new Promise<string>((resolve) => {
      listener.once('notification', ({channel}) => resolve(channel))
    })
    const id = await insertAgedJob(db, {state: 'failed'})
    expect(await ayb(['jobs', 'retry', id], db)).toMatchObject({
      code: 0,
      stdout: `Queued again: job ${id}\n`,
      stderr: '',
    })
    expect(await heard).toBe('ayb_cli_wake')
    await db.query('delete from _ayb_jobs where id = $1', [id])
  })

  test.each(STORED_STATES.filter((state) => state !== 'failed'))('refuses a %s job', async (state) => {
    const failure = await failureOf(['jobs', 'retry', jobs[state]], 'JOB_STATE_CONFLICT', db)
    expect(failure).toMatchObject({
      status: 409,
      message: `job ${jobs[state]} is ${state}: only a failed job can be retried`,
      details: {state},
    })
    expect((await jobOf(db, jobs[state])).state).toBe(state)
  })
})

describe('ayb jobs cancel', () => {
  test('cancels a queued job', async () => {
    const id = await insertAgedJob(db, {scheduleId})
    const document = await documentOf<JobDocument>(['jobs', 'cancel', id], db)
    expect(keysOf(document)).toEqual(['job', 'warnings'])
    expect(keysOf(document.job)).toEqual(JOB_KEYS)
    expect(document.job).toMatchObject({id, state: 'canceled', completedAt: null, scheduleId})
    expect(document.job.canceledAt).toBe(document.job.updatedAt)
    const second = await insertAgedJob(db)
    expect(await ayb(['jobs', 'cancel', second], db)).toMatchObject({
      code: 0,
      stdout: `Canceled: job ${second}\n`,
      stderr: '',
    })
    await db.query('delete from _ayb_jobs where id in ($1, $2)', [id, second])
  })

  const ENDED = STORED_STATES.filter((state) => state !== 'queued' && state !== 'running')
  test.each(ENDED)('refuses a %s job', async (state) => {
    const failure = await failureOf(['jobs', 'cancel', jobs[state]], 'JOB_STATE_CONFLICT', db)
    expect(failure).toMatchObject({
      message: `job ${jobs[state]} is ${state}: only a job that has not ended can be canceled`,
      details: {state},
    })
    expect((await jobOf(db, jobs[state])).state).toBe(state)
  })

  test('ends with 4 as text, too', async () => {
    const {code, stdout, stderr} = await ayb(['jobs', 'cancel', jobs.completed], db)
    expect({code, stdout}).toEqual({code: 4, stdout: ''})
    expect(stderr).toMatch(/^Error: job \S+ is completed: .*\nHint: ayb jobs show [0-9a-f-]{36}\n$/)
  })
})
