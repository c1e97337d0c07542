import {describe, expect, test} from 'vitest'
import type {JobDocument} from '../../src/lib/records/jobs.ts'
import type {NextRuns, ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {insertAgedJob, insertJob, jobOf, untilState} from '../support/jobs.ts'
import {createGatedView, register, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, type RunningWorker, startWorker, stopWorkers} from '../support/worker.ts'

const MINUTE_MS = 60_000
const AHEAD_MS = 10 * MINUTE_MS
const BEHIND_MS = -10 * MINUTE_MS

/**
 * What has a program of Node's take it to be so many milliseconds later than it is; its stopwatch runs on as
 * it does.
 */
function clockOffBy(offsetMs: number): {NODE_OPTIONS: string} {
  const source = `
    const System = Date
    const now = () => System.now() + ${offsetMs}
    globalThis.Date = new Proxy(System, {
      apply: () => new System(now()).toString(),
      construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [now()] : args, self),
      get: (target, key, self) => (key === 'now' ? now : Reflect.get(target, key, self)),
    })
    Object.defineProperty(performance, 'timeOrigin', {value: performance.timeOrigin + ${offsetMs}})`
  return {NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(source)}`}
}

/** How far an instant that a program told a moment ago is from this process's clock. */
const offsetOf = (instant: string | undefined): number => Date.parse(instant ?? '') - Date.now()

/** Asserts that the worker's own clock is off by that. */
function expectClockOff(worker: RunningWorker, offsetMs: number): void {
  expect(Math.abs(offsetOf(worker.logs()[0]?.time) - offsetMs)).toBeLessThan(MINUTE_MS)
}

async function databaseNow(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{ms: number}>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 as ms',
  )
  return row?.ms ?? Number.NaN
}

const nextMinute = (ms: number): number => (Math.floor(ms / MINUTE_MS) + 1) * MINUTE_MS

describe.concurrent.each([
  ['ahead', AHEAD_MS],
  ['behind', BEHIND_MS],
])('a clock that is 10 minutes %s of the database', {timeout: 90_000}, (_, offsetMs) => {
  const env = clockOffBy(offsetMs)

  test('gives schedules the next run that a right one gives them', async () => {
    const db = await createTestDatabase({hasTables: true})
    const options = {url: db.url, env}
    // The preview, which needs no database, has no other clock.
    const preview = await documentOf<NextRuns>(['schedules', 'next', '* * * * *'], options)
    expect(Math.abs(offsetOf(preview.runs[0]) - offsetMs)).toBeLessThan(2 * MINUTE_MS)

    const name = ['--name', 'minutely']
    for (const args of [
      ['create', ...name, '--cron', '* * * * *', '--view', 'leaderboard'],
      ['update', 'minutely', '--cron', '*/1 * * * *'],
      ['update', 'minutely', '--timezone', 'Asia/Tokyo'],
      ['disable', 'minutely'],
      ['enable', 'minutely'],
    ]) {
      const before = await databaseNow(db)
      const {schedule} = await documentOf<ScheduleDocument>(['schedules', ...args], options)
      if (args[0] === 'disable') continue
      const nextRunAt = Date.parse(schedule.nextRunAt ?? '')
      expect(nextRunAt, args.join(' ')).toBeGreaterThanOrEqual(nextMinute(before))
      expect(nextRunAt, args.join(' ')).toBeLessThanOrEqual(nextMinute(await databaseNow(db)))
    }
    const before = await databaseNow(db)
    const {job} = await documentOf<JobDocument>(['schedules', 'run', 'minutely'], options)
    expect(Date.parse(job.runAt ?? '')).toBeGreaterThanOrEqual(Math.floor(before))
    expect(Date.parse(job.runAt ?? '')).toBeLessThanOrEqual(await databaseNow(db))
  })

  test('prunes the jobs that ended that long ago, and no others', async () => {
    const db = await createTestDatabase({hasTables: true})
    const recent = await insertAgedJob(db, {state: 'completed', endedAge: 60})
    await insertAgedJob(db, {state: 'completed', endedAge: 360})
    const prune = ['jobs', 'prune', '--older-than', '5m']
    expect(await documentOf(prune, {url: db.url, env})).toMatchObject({deleted: 1})
    expect(await db.query('select id from _ayb_jobs')).toEqual([{id: recent}])
  })

  test('has a worker run what is due on time by the clock of the database', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const worker = await startWorker(db, [], {env})
    expectClockOff(worker, offsetMs)
    // Every ten minutes, and the one after the first is five minutes off: nothing near a boundary, wrong is
    // wrong by ten.
    const [every] = await db.query<{minute: number}>(
      `select (extract(minute from now() at time zone 'UTC')::int + 5) % 10 as minute`,
    )
    const id = await insertSchedule(db, 'soon', {
      view: 'leaderboard',
      cron: `${every?.minute}-59/10 * * * *`,
      nextRunAt: `now() + interval '3 s'`,
    })
    await db.query('notify ayb_cli_wake')
    const [due] = await db.query<{at: string}>(
      'select next_run_at::text as at from _ayb_job_schedules where id = $1',
      [id],
    )
    const [job] = await until(
      async () => {
        const done = await db.query<{at: string; late_ms: number; created_late_ms: number}>(
          `select run_at::text as at, extract(epoch from last_run_at - run_at)::float8 * 1000 as late_ms,
                  extract(epoch from created_at - run_at)::float8 * 1000 as created_late_ms
             from _ayb_jobs where state = 'completed'`,
        )
        return done.length > 0 && done
      },
      {what: 'the refresh', timeoutMs: PATIENCE_MS},
    )
    expect(job?.at).toBe(due?.at)
    expect(job?.created_late_ms).toBeGreaterThanOrEqual(0)
    expect(job?.late_ms).toBeGreaterThanOrEqual(0)
    expect(job?.late_ms).toBeLessThan(PATIENCE_MS)
    const [next] = await db.query<{at: Date; expected: Date}>(
      `select next_run_at as at,
              to_timestamp((floor((extract(epoch from last_run_at) - $1 * 60) / 600) + 1) * 600 + $1 * 60) as expected
         from _ayb_job_schedules`,
      [every?.minute],
    )
    expect(next?.at).toEqual(next?.expected)
    // Nor did it come due once more, at a time that had been computed wrongly.
    expect(await db.query('select from _ayb_jobs')).toHaveLength(1)
    const [recorded] = await db.query<{age_s: number}>(
      `select greatest(abs(extract(epoch from now() - last_refresh_at)),
                       (select max(abs(extract(epoch from now() - started_at))) from _ayb_matview_refresh_runs))::float8 as age_s
         from _ayb_matview_refreshes`,
    )
    expect(recorded?.age_s).toBeLessThan(60)
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })
})

test('two workers whose clocks are 20 minutes apart keep to the leases of each other', async () => {
  const db = await createTestDatabase({hasTables: true})
  const gate = await createGatedView(db, 'slow')
  await gate.close()
  const id = await insertJob(db, {view_name: 'slow'})
  const args = ['--lease-duration', '3s', '--poll-interval', '200ms']
  const ahead = await startWorker(db, args, {env: clockOffBy(AHEAD_MS)})
  await untilRefreshing(db, 'slow')
  const behind = await startWorker(db, args, {env: clockOffBy(BEHIND_MS)})
  expectClockOff(ahead, AHEAD_MS)
  expectClockOff(behind, BEHIND_MS)
  // Three leases after the first.
  const first = (await jobOf(db, id)).lease_until as Date
  expect(Math.abs(first.getTime() - (await databaseNow(db)))).toBeLessThan(MINUTE_MS)
  await until(async () => Number((await jobOf(db, id)).lease_until) - first.getTime() > 9000, {
    what: 'the lease to be renewed',
    timeoutMs: PATIENCE_MS,
  })
  expect(await jobOf(db, id)).toMatchObject({state: 'running', attempts: 1})
  await gate.open()
  expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1})
  await stopWorkers([ahead, behind])
  expect(complaints([ahead, behind])).toEqual([])
}, 90_000)
