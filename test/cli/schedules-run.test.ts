import {beforeAll, describe, expect, test} from 'vitest'
import type {JobDocument, ScheduleDocument} from '../../src/lib/records.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, INSTANT, keysOf, UUID} from '../support/documents.ts'
import {createSchedule, insertJob, JOB_KEYS, jobRows} from '../support/schedules.ts'

const run = (db: TestDatabase, schedule: string) =>
  documentOf<JobDocument>(['schedules', 'run', schedule], db)

describe('ayb schedules run', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
  })

  test('queues one job for now, and gives the same one again', async () => {
    const {id} = await createSchedule(db, 'nightly', {more: ['--max-attempts', '7']})
    const document = await run(db, 'nightly')
    expect(keysOf(document)).toEqual(['job', 'warnings'])
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
      },
      warnings: [],
    })
    expect(await run(db, id.toUpperCase())).toEqual(document)
    expect(await ayb(['schedules', 'run', 'nightly'], db)).toMatchObject({
      code: 0,
      stdout: `Queued job ${document.job.id}\n`,
      stderr: '',
    })
    expect(await jobRows(db)).toHaveLength(1)
    // Its next run is its own affair.
    const shown = await documentOf<ScheduleDocument>(['schedules', 'show', 'nightly'], db)
    expect(shown.schedule).toMatchObject({nextRunAt: expect.stringMatching(/T03:00/), lastRunAt: null})
  })

  test('queues one behind a job that runs or has ended, and leaves other types alone', async () => {
    const {id} = await createSchedule(db, 'busy')
    for (const state of ['running', 'completed', 'failed', 'canceled'] as const) {
      await insertJob(db, {state, scheduleId: id})
    }
    const foreign = await insertJob(db, {scheduleId: id, type: 'send_mail'})
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
    await expect
      .poll(
        async () =>
          (
            await db.query(
              `select from pg_stat_activity
                where datname = current_database() and application_name = 'ayb schedules run' and wait_event_type = 'Lock'`,
            )
          ).length,
        {timeout: 40_000, interval: 100},
      )
      .toBe(8)
    await holder.query('commit')
    const jobs = (await Promise.all(runs)).map((result) => (result.json() as JobDocument).job.id)
    expect(new Set(jobs).size).toBe(1)
    expect(await db.query('select from _ayb_jobs where schedule_id = $1', [id])).toHaveLength(1)
  })
})
