import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob, untilState} from '../support/jobs.ts'
import {createGatedView, register, registrationOf, runsOf, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, say, startWorker, stopWorkers} from '../support/worker.ts'

const CREATE = 'schedules create --name leaderboard_hourly --job-type materialized_view_refresh --cron'.split(
  ' ',
)
const PAYLOAD = '{"schema": "public", "view_name": "leaderboard"}'

describe.concurrent('a worker', {timeout: 90_000}, () => {
  test('keeps the view of a schedule fresh, and registers it', async () => {
    const db = await createTestDatabase({hasTables: true})
    const worker = await startWorker(db, ['--poll-interval', '60s'])
    const created = await ayb([...CREATE, '* * * * * *', '--payload', PAYLOAD], {url: db.url})
    expect(created).toMatchObject({code: 0, stderr: ''})
    await db.query('insert into workouts (user_id, duration_minutes) select 1, 100000')
    await until(
      async () => {
        const [row] = await db.query('select from leaderboard where total_minutes > 100000')
        return row
      },
      {what: 'the new workout on the leaderboard', timeoutMs: PATIENCE_MS},
    )
    await until(async () => (await runsOf(db, 'leaderboard')).length > 1, {
      what: 'a second run',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])

    const {workerId} = worker.logs()[0] ?? {}
    const runs = await runsOf(db, 'leaderboard')
    for (const run of runs) {
      expect(run).toMatchObject({trigger: 'schedule', status: 'success', error: null, worker_id: workerId})
      expect(run.worker_id).toMatch(new RegExp(`^ayb:[0-9a-f]{16}:[^:]+:${worker.pid}$`))
      const job = await jobOf(db, run.job_id as string)
      expect(job).toMatchObject({
        state: 'completed',
        attempts: 1,
        worker_id: null,
        lease_until: null,
        last_error: null,
        completed_at: expect.any(Date),
        schedule_id: expect.any(String),
      })
      expect(job.run_at.getMilliseconds()).toBe(0)
    }
    expect(new Set(runs.map(({job_id}) => job_id)).size).toBe(runs.length)
    expect(await registrationOf(db, 'leaderboard')).toMatchObject({
      refresh_mode: 'standard',
      last_refresh_status: 'success',
    })
    expect(complaints([worker])).toEqual([])
  })

  test('starts what is due at once, however seldom it polls', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const id = await insertSchedule(db, 'soon', {view: 'leaderboard', nextRunAt: `now() + interval '1 day'`})
    const worker = await startWorker(db, ['--poll-interval', '60s'])
    // The first refresh opens its session; the second one finds it open.
    for (const what of ['first', 'second']) {
      await db.query('delete from _ayb_jobs')
      await db.query(`update _ayb_job_schedules set next_run_at = now() + interval '1 s'`)
      await db.query('notify ayb_cli_wake')
      const late = await until(
        async () => {
          const [row] = await db.query<{late: number}>(
            `select (extract(epoch from h.started_at - j.run_at) * 1000)::int as late
               from _ayb_jobs j join _ayb_matview_refresh_runs h on h.job_id = j.id where j.schedule_id = $1`,
            [id],
          )
          return row && {ms: row.late}
        },
        {what: `the ${what} run`, timeoutMs: PATIENCE_MS},
      )
      say(`the ${what} refresh of an idle worker was started ${late.ms} ms after its time`)
      expect(late.ms).toBeGreaterThanOrEqual(0)
      expect(late.ms).toBeLessThan(2000)
    }
    await stopWorkers([worker])
    const claims = worker.logs().flatMap(({latenessMs}) => latenessMs ?? [])
    say(`their jobs were claimed after ${claims.join(' and ')} ms`)
  })

  test('is woken by a command, and sees at the poll what others add', async () => {
    const db = await createTestDatabase({hasTables: true})
    await insertSchedule(db, 'seldom', {view: 'leaderboard', nextRunAt: `now() + interval '1 day'`})
    const seldom = await startWorker(db, ['--poll-interval', '60s'])
    const {job} = (await ayb(['schedules', 'run', 'seldom', '--json'], {url: db.url})).json() as {
      job: {id: string}
    }
    await untilState(db, job.id, 'completed')
    await stopWorkers([seldom])

    const often = await startWorker(db, ['--poll-interval', '500ms'])
    await untilState(db, await insertJob(db, {schema: 'public', view_name: 'leaderboard'}), 'completed')
    await stopWorkers([often])
  })

  test('makes one run of many that were missed', async () => {
    const db = await createTestDatabase({hasTables: true})
    const id = await insertSchedule(db, 'missed', {
      view: 'leaderboard',
      cron: '*/5 * * * *',
      nextRunAt: `date_trunc('hour', now()) - interval '3 hours'`,
    })
    const worker = await startWorker(db)
    await until(async () => (await runsOf(db, 'leaderboard')).length > 0, {what: 'a run', timeoutMs: 30_000})
    const [schedule] = await db.query<{is_next: boolean; due: boolean}>(
      `select s.next_run_at > now() and s.next_run_at <= now() + interval '5 min' as is_next,
              j.run_at = date_trunc('hour', j.created_at) - interval '3 hours' as due
         from _ayb_job_schedules s join _ayb_jobs j on j.schedule_id = s.id where s.id = $1`,
      [id],
    )
    expect(schedule).toEqual({is_next: true, due: true})
    expect(await db.query('select state from _ayb_jobs')).toEqual([{state: 'completed'}])
    await stopWorkers([worker])
  })

  test('queues at most one job behind a running one', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertSchedule(db, 'each_second', {view: 'slow', cron: '* * * * * *'})
    const worker = await startWorker(db)
    await untilRefreshing(db, 'slow', 3500)
    const states = await db.query('select state from _ayb_jobs where schedule_id = $1 order by state', [id])
    expect(states).toEqual([{state: 'queued'}, {state: 'running'}])
    await gate.open()
    await until(async () => (await runsOf(db, 'slow')).length > 1, {what: 'the next run', timeoutMs: 30_000})
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })

  test('leaves rows of other types alone', async () => {
    const db = await createTestDatabase({hasTables: true})
    const type = 'send_mail'
    const payload = {schema: 'public', view_name: 'leaderboard'}
    const old = '2020-01-01'
    await insertSchedule(db, 'mail', {view: 'leaderboard', cron: '* * * * * *', type})
    const ids = [
      await insertJob(db, payload, {type, run_at: old}),
      await insertJob(db, payload, {type, run_at: old, attempts: 3}),
      await insertJob(db, payload, {type, state: 'running', lease_until: old, worker_id: 'mailer'}),
      await insertJob(db, payload, {type, state: 'completed', completed_at: old, updated_at: old}),
    ]
    const rows = () => db.query(`select * from _ayb_jobs where type = $1 order by created_at, id`, [type])
    const schedule = () => db.query('select * from _ayb_job_schedules')
    const before = [await rows(), await schedule()]
    const worker = await startWorker(db, ['--retention', '1d', '--poll-interval', '50ms'])
    const own = await insertJob(db, payload)
    await untilState(db, own, 'completed')
    await stopWorkers([worker])
    expect([await rows(), await schedule()]).toEqual(before)
    expect(await runsOfJob(db, ids[0] as string)).toEqual([])
  })
})
