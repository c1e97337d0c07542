import {setTimeout as sleep} from 'node:timers/promises'
import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob, untilState} from '../support/jobs.ts'
import {createGatedView, errorOf, register, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {until} from '../support/until.ts'
import {committed, complaints, startWorker, stopWorkers} from '../support/worker.ts'

describe.concurrent('a worker', {timeout: 90_000}, () => {
  test('puts a job back while somebody else refreshes its view, and does the others meanwhile', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    await db.query('create materialized view other as select 1 as one')
    const locker = await db.connect()
    await locker.query(`select pg_advisory_lock(hashtext('public.leaderboard'))`)
    const locked = await insertJob(db, {view_name: 'leaderboard'}, {run_at: '2020-01-01'})
    const worker = await startWorker(db, ['--concurrency', '1', '--poll-interval', '60s'])
    const putBacks = () => worker.logs().filter(({msg}) => msg.startsWith('refresh already in progress'))
    await until(() => putBacks().length > 2, {what: 'three put-backs', timeoutMs: 30_000})
    await untilState(db, await insertJob(db, {view_name: 'other'}), 'completed')
    // After a second, and more and more seldom.
    expect(putBacks().length).toBeLessThan(8)
    expect(await runsOfJob(db, locked)).toMatchObject([
      {status: 'skipped', error: 'refresh already in progress'},
    ])
    expect((await jobOf(db, locked)).attempts).toBeLessThan(2)
    await locker.query('select pg_advisory_unlock_all()')
    expect(await untilState(db, locked, 'completed')).toMatchObject({attempts: 1})
    expect((await runsOfJob(db, locked)).map(({status}) => status)).toEqual(['skipped', 'success'])
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })

  test('runs the other schedules on time while somebody holds the row of one that is due', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const held = await insertSchedule(db, 'held', {view: 'leaderboard'})
    const locker = await db.connect()
    await locker.query('begin')
    await locker.query('select from _ayb_job_schedules where id = $1 for update', [held])
    const worker = await startWorker(db)
    // By now its looks for the held one are a second apart.
    const count = 7
    for (let n = 0; n < count; n++) {
      const nextRunAt = `now() + ${3 + 1.3 * n} * interval '1 s'`
      await insertSchedule(db, `other_${n}`, {view: 'leaderboard', nextRunAt})
    }
    await db.query('notify ayb_cli_wake')
    const jobs = await until(
      async () => {
        const rows = await db.query<{late_ms: number}>(
          'select extract(epoch from created_at - run_at)::float8 * 1000 as late_ms from _ayb_jobs order by 1',
        )
        return rows.length === count && rows
      },
      {what: 'the others to be queued', timeoutMs: 60_000},
    )
    // The median: one of them may be late because the machine is busy.
    expect(jobs[Math.floor(count / 2)]?.late_ms).toBeLessThan(200)
    await locker.query('rollback')
    await until(async () => (await db.query('select from _ayb_jobs')).length === count + 1, {
      what: 'the held one to be queued',
      timeoutMs: 30_000,
    })
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })

  test('has no two jobs of one view in hand', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const ids = await Promise.all([1, 2, 3].map(() => insertJob(db, {view_name: 'slow'})))
    const worker = await startWorker(db, ['--poll-interval', '100ms'])
    await untilRefreshing(db, 'slow', 2000)
    const states = async () =>
      (await db.query<{state: string}>('select state from _ayb_jobs order by state')).map(({state}) => state)
    expect(await states()).toEqual(['queued', 'queued', 'running'])
    await gate.open()
    for (const id of ids) expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1})
    await stopWorkers([worker])
    expect(await db.query(`select from _ayb_matview_refresh_runs where status <> 'success'`)).toEqual([])
    expect(complaints([worker])).toEqual([])
  })

  test('starts the jobs of other views where the oldest jobs are of one view', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create materialized view other as select 1 as one')
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const worker = await startWorker(db, ['--concurrency', '2', '--poll-interval', '60s'])
    const first = await insertJob(db, {view_name: 'other'})
    await db.query('notify ayb_cli_wake')
    await untilState(db, first, 'completed')
    const due = await db.query<{id: string}>(`
      insert into _ayb_jobs (type, payload, run_at)
      select 'materialized_view_refresh', jsonb_build_object('view_name', view), now() - hours * interval '1 hour'
        from (values ('slow', 6), ('slow', 5), ('slow', 4), ('other', 3)) as due (view, hours)
      returning id`)
    await db.query('notify ayb_cli_wake')
    const ids = due.map(({id}) => id)
    await untilState(db, ids.at(-1) as string, 'completed')
    await untilRefreshing(db, 'slow')
    await gate.open()
    for (const id of ids) expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1})
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })

  test('excludes a refresh by hand, and is excluded by one', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const worker = await startWorker(db)
    await untilRefreshing(db, 'slow')
    const refused = await ayb(['matviews', 'refresh', 'slow', '--json'], {url: db.url})
    expect(refused.code).toBe(5)
    expect(errorOf(refused)).toMatchObject({
      code: 'REFRESH_IN_PROGRESS',
      message: expect.stringContaining('ayb worker'),
    })
    await gate.open()
    await untilState(db, id, 'completed')
    await stopWorkers([worker])
  })

  test('does not spin while somebody holds a row that it wants', async () => {
    const db = await createTestDatabase({hasTables: true})
    const id = await insertJob(db, {view_name: 'leaderboard'})
    const holder = await db.connect()
    await holder.query('begin')
    await holder.query('select from _ayb_jobs where id = $1 for update', [id])
    const worker = await startWorker(db)
    // Its pauses have grown by now.
    await sleep(3000)
    const before = await committed(db)
    await sleep(4000)
    expect((await committed(db)) - before).toBeLessThan(80)
    await holder.query('rollback')
    await untilState(db, id, 'completed')
    await stopWorkers([worker])
  })
})
