import {describe, expect, test} from 'vitest'
import type {ViewStatus} from '../../src/lib/records/freshness.ts'
import type {RegistrationDocument} from '../../src/lib/records/registrations.ts'
import type {ScheduleDocument, ScheduleRun} from '../../src/lib/records/schedules.ts'
import type {WorkerResult} from '../../src/lib/records/workers.ts'
import {ayb} from '../support/ayb.ts'
import {tellsChanges, write} from '../support/changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {runsOf} from '../support/refresh.ts'
import {pretendWorker} from '../support/schedules.ts'
import {until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const tells = await tellsChanges(await createTestDatabase({template: false}))

const create = (db: TestDatabase, maxAge: string, ...more: string[]) =>
  documentOf<ScheduleDocument>(
    [
      ...['schedules', 'create', '--name', 'live', '--max-age', maxAge],
      ...(more.includes('--view') ? [] : ['--view', 'leaderboard']),
      ...more,
    ],
    db,
  )
const update = (db: TestDatabase, ...args: string[]) =>
  documentOf<ScheduleDocument>(['schedules', 'update', 'live', ...args], db)
const once = async (db: TestDatabase) =>
  (await ayb(['worker', '--once', '--json'], db)).json() as WorkerResult
const statusOf = async (db: TestDatabase) =>
  (await documentOf<ViewStatus[]>(['matviews', 'status', 'leaderboard'], db))[0]

async function createRegistered(): Promise<TestDatabase> {
  const db = await createTestDatabase({hasTables: true})
  await documentOf(['matviews', 'register', 'leaderboard'], db)
  await pretendWorker(db)
  return db
}

/** How many milliseconds ahead the next run is. */
const untilNext = async (db: TestDatabase): Promise<number> => {
  const [row] = await db.query<{ms: number}>(
    `select (extract(epoch from next_run_at - now()) * 1000)::float8 as ms from _ayb_job_schedules where name = 'live'`,
  )
  return (row as {ms: number}).ms
}

describe.concurrent('a schedule with a max age', {timeout: 90_000}, () => {
  test('is due at once, has the nearest expression for others, and is the promise of its view', async () => {
    const db = await createRegistered()
    const {schedule, warnings} = await create(db, '90m')
    expect(warnings).toEqual([])
    expect(schedule).toMatchObject({cronExpr: '0 * * * *', timezone: 'UTC', maxAgeMs: 5_400_000})
    expect(await untilNext(db)).toBeLessThanOrEqual(0)
    expect(await once(db)).toMatchObject({succeeded: 1})
    // Soon, as the job could have failed; then it is known how old the data is.
    expect(await untilNext(db)).toBeLessThan(9 * 60_000)
    await db.query('update _ayb_job_schedules set next_run_at = now()')
    expect(await once(db)).toMatchObject({claimed: 0})
    // An hour and a half, less a minute.
    const next = await untilNext(db)
    expect(next).toBeGreaterThan(88 * 60_000)
    expect(next).toBeLessThan(89 * 60_000)
    expect(await statusOf(db)).toMatchObject({state: 'fresh', maxAgeMs: 5_400_000})
    expect((await ayb(['schedules', 'list'], db)).stdout.trimEnd().split('\t').at(-1)).toBe('5400000')
    expect((await ayb(['schedules', 'show', 'live'], db)).stdout).toContain('\nMax age\t5400000\n')
  })

  test('does not refresh what somebody else has refreshed: it comes up when that gets old', async () => {
    const db = await createRegistered()
    await documentOf(['matviews', 'refresh', 'leaderboard'], db)
    await create(db, '1h')
    expect(await once(db)).toMatchObject({claimed: 0, succeeded: 0})
    expect(await untilNext(db)).toBeGreaterThan(57 * 60_000)
    await db.query(`update _ayb_matview_refresh_runs set started_at = started_at - interval '2 hours'`)
    await db.query(`update _ayb_job_schedules set next_run_at = now()`)
    expect(await once(db)).toMatchObject({succeeded: 1})
  })

  test('counts the age from the oldest data below, and the time of all refreshes, with its dependencies', async () => {
    const db = await createRegistered()
    await db.query('create materialized view above as select count(*) from leaderboard')
    await documentOf(['matviews', 'register', 'above'], db)
    await create(db, '1h', '--view', 'above', '--with-dependencies')
    expect(await once(db)).toMatchObject({succeeded: 2})
    // The view below took from twenty minutes ago to five minutes ago.
    await db.query(`
      update _ayb_matview_refresh_runs set started_at = now() - interval '20 min', duration_ms = 900000 where view_name = 'leaderboard';
      update _ayb_matview_refresh_runs set started_at = now() - interval '5 min', duration_ms = 60000 where view_name = 'above';
      update _ayb_matview_refreshes set last_refresh_at = now() - interval '5 min';
      update _ayb_job_schedules set next_run_at = now()`)
    expect(await once(db)).toMatchObject({claimed: 0})
    // An hour, less the age, sixteen minutes of refreshes, and a margin of one.
    expect(Math.round((await untilNext(db)) / 60_000)).toBe(60 - 20 - 16 - 1)
    expect((await update(db, '--max-age', '10m')).warnings).toEqual([
      expect.stringContaining('a refresh with all that it reads takes 16 m 00 s'),
    ])
  })

  test('changes to another age, to an expression and back', async () => {
    const db = await createRegistered()
    await create(db, '1h')
    expect((await update(db, '--max-age', '10m')).schedule).toMatchObject({
      ...{maxAgeMs: 600_000, cronExpr: '*/10 * * * *'},
    })
    expect((await update(db, '--name', 'live')).schedule.maxAgeMs).toBe(600_000)
    const {schedule} = await update(db, '--cron', '*/10 * * * *')
    expect(schedule).toMatchObject({maxAgeMs: null, cronExpr: '*/10 * * * *'})
    expect(await statusOf(db)).toMatchObject({maxAgeMs: null})
    expect((await update(db, '--max-age', '1d')).schedule.maxAgeMs).toBe(86_400_000)
    await documentOf(['schedules', 'delete', 'live'], db)
    expect(await db.query('select from _ayb_schedule_promises')).toEqual([])
  })

  test('keeps no promise that another program has replaced with an expression', async () => {
    const db = await createRegistered()
    await create(db, '1h')
    await db.query(
      `update _ayb_job_schedules set cron_expr = '0 3 * * *', next_run_at = now() + interval '5 hours'`,
    )
    const {schedule} = await documentOf<ScheduleDocument>(['schedules', 'show', 'live'], db)
    expect(schedule).toMatchObject({maxAgeMs: null, cronExpr: '0 3 * * *'})
  })

  test('comes back soon, and counts no run, while its last set is under way', async () => {
    const db = await createRegistered()
    await db.query('create materialized view above as select count(*) from leaderboard')
    await documentOf(['matviews', 'register', 'above'], db)
    await create(db, '1d', '--cascade')
    await documentOf(['schedules', 'run', 'live'], db)
    await db.query(
      `update _ayb_jobs set state = 'running', worker_id = 'another', attempts = 1,
              lease_until = now() + interval '1 h', last_run_at = now()`,
    )
    const runAt = () => db.query('select last_run_at from _ayb_job_schedules')
    const before = await runAt()
    await db.query('update _ayb_job_schedules set next_run_at = now()')
    const worker = await startWorker(db)
    await until(async () => (await untilNext(db)) > 0, {what: 'the next turn'})
    await stopWorkers([worker])
    expect(await untilNext(db)).toBeLessThan(3 * 3_600_000)
    expect(await runAt()).toEqual(before)
  })

  test('is refused with an expression beside it, without either, and below a second', async () => {
    const db = await createRegistered()
    const command = ['schedules', 'create', '--name', 'live', '--view', 'leaderboard']
    for (const [args, message] of [
      [['--cron', '@hourly', '--max-age', '1h'], 'the schedule has two timings'],
      [[], 'the schedule has no time'],
      [['--max-age', '999ms'], 'data cannot always be younger than 999 ms'],
    ] as const) {
      expect((await failureOf([...command, ...args], 'INVALID_ARGUMENT', db)).message).toBe(message)
    }
  })

  test('is refused with a jitter or a catch-up, which count only for due times', async () => {
    const db = await createRegistered()
    const refused = async (args: string[], what: string) => {
      const {message} = await failureOf(args, 'INVALID_ARGUMENT', db)
      expect(message).toBe(
        `${what} has no effect beside a max age: the schedule refreshes when the data gets too old`,
      )
    }
    const command = ['schedules', 'create', '--name', 'live', '--view', 'leaderboard']
    await refused([...command, '--max-age', '1h', '--jitter', '5m'], 'a jitter')
    await refused([...command, '--max-age', '1h', '--catch-up', 'none'], 'a catch-up of none')
    await create(db, '1h')
    await refused(['schedules', 'update', 'live', '--jitter', '5m'], 'a jitter')
    await update(db, '--cron', '@daily', '--jitter', '5m')
    await refused(['schedules', 'update', 'live', '--max-age', '1h'], 'a jitter')
    expect((await update(db, '--max-age', '1h', '--jitter', 'none')).schedule).toMatchObject({
      ...{maxAgeMs: 3_600_000, jitterMs: null},
    })
    const file = {version: 1, schedules: {live: {view: 'public.leaderboard', maxAge: '2h', jitter: '5m'}}}
    const applied = await ayb(['apply', '-f', '-', '--json'], {...db, input: JSON.stringify(file)})
    expect(applied.json()).toMatchObject({error: {code: 'INVALID_ARGUMENT'}})
    expect(applied.stdout).toContain('jitter has no effect beside maxAge')
  })

  test('warns where refreshes take too long for it', async () => {
    const db = await createRegistered()
    await documentOf(['matviews', 'refresh', 'leaderboard'], db)
    await db.query('update _ayb_matview_refresh_runs set duration_ms = 90000')
    const {warnings} = await create(db, '1m')
    expect(warnings).toEqual([
      'the data of public.leaderboard will at times be older than 1 m 00 s: a refresh takes 1 m 30 s, and one follows the other at once',
    ])
  })

  test('is warned about where a view is promised to be younger, with the command that changes that', async () => {
    const db = await createRegistered()
    const promise = async (maxAge: string) =>
      (await documentOf<RegistrationDocument>(['matviews', 'update', 'leaderboard', '--max-age', maxAge], db))
        .warnings
    expect(await promise('1h')).toEqual([
      'nothing keeps the data of public.leaderboard younger than 1 h 00 m: it has no enabled schedule; to change that: ayb schedules create --name leaderboard --max-age 1h --view public.leaderboard',
    ])
    await create(db, '1h')
    expect(await promise('1h')).toEqual([])
    expect(await promise('30m')).toEqual([
      'nothing keeps the data of public.leaderboard younger than 30 m 00 s: with its schedule, the data gets 1 h 00 m old; to change that: ayb schedules update live --max-age 30m',
    ])
    await update(db, '--cron', '*/10 * * * *')
    expect(await promise('30m')).toEqual([])
    expect(await promise('none')).toEqual([])
  })

  test('keeps the promises of the views of its set, too', async () => {
    const db = await createRegistered()
    await db.query('create materialized view above as select count(*) from leaderboard')
    await documentOf(['matviews', 'register', 'above'], db)
    const promise = async (view: string, maxAge: string) =>
      (await documentOf<RegistrationDocument>(['matviews', 'update', view, '--max-age', maxAge], db)).warnings
    await create(db, '1h')
    const unkept = expect.stringContaining('it has no enabled schedule')
    expect(await promise('above', '2h')).toEqual([unkept])
    await update(db, '--cascade')
    expect(await promise('above', '2h')).toEqual([])
    expect(await promise('above', '30m')).toEqual([
      'nothing keeps the data of public.above younger than 30 m 00 s: with its schedule, the data gets 1 h 00 m old; to change that: ayb schedules create --name above --max-age 30m --view public.above',
    ])
    await db.query(
      `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
       values ('public', 'above', 'standard', 'manual', now() - interval '1 day', 1800000, 'success')`,
    )
    expect(await promise('above', '1h')).toEqual([
      expect.stringContaining('with its schedule, the data gets 1 h 29 m old'),
    ])
    await update(db, '--no-cascade', '--view', 'above', '--with-dependencies')
    expect(await promise('leaderboard', '2h')).toEqual([])
    await documentOf(['schedules', 'disable', 'live'], db)
    expect(await promise('leaderboard', '2h')).toEqual([unkept])
    // No command can help.
    expect(await promise('leaderboard', '10ms')).toEqual([
      'nothing keeps the data of public.leaderboard younger than 10 ms: it has no enabled schedule',
    ])
  })

  test('comes out of a file as it went in', async () => {
    const db = await createRegistered()
    await create(db, '90m')
    const exported = await documentOf<{schedules: unknown}>(['export'], db)
    expect(exported.schedules).toEqual({live: {view: 'public.leaderboard', maxAge: '90m'}})
    const apply = (file: object) =>
      ayb(['apply', '-f', '-', '--json'], {...db, input: JSON.stringify({version: 1, ...file})})
    expect((await apply(exported)).json()).toMatchObject({changes: []})
    const changed = await apply({schedules: {live: {view: 'public.leaderboard', cron: '@daily'}}})
    expect(changed.json()).toMatchObject({
      changes: [
        {
          fields: [
            {field: 'cron', from: null, to: '@daily'},
            {field: 'maxAge', from: '90m', to: null},
          ],
        },
      ],
    })
    await apply({schedules: {live: {view: 'public.leaderboard', maxAge: '2h'}}})
    expect((await documentOf<ScheduleDocument>(['schedules', 'show', 'live'], db)).schedule).toMatchObject({
      ...{maxAgeMs: 7_200_000, cronExpr: '0 */2 * * *'},
    })
    const both = await apply({
      schedules: {live: {view: 'public.leaderboard', maxAge: '2h', cron: '@daily'}},
    })
    expect(both.json()).toMatchObject({error: {code: 'INVALID_ARGUMENT'}})
  })
})

describe
  .runIf(tells)
  .concurrent('where the view is skipped while nothing changes, a schedule with a max age', () => {
    test('looks in between, refreshes soon behind a change, and leaves no job for a look', async () => {
      const db = await createRegistered()
      await documentOf(['matviews', 'update', 'leaderboard', '--skip-unchanged'], db)
      await create(db, '20s')
      const worker = await startWorker(db)
      const runs = async () => (await runsOf(db, 'leaderboard')).filter(({status}) => status === 'success')
      await until(async () => (await runs()).length === 1, {what: 'the first refresh'})
      await worker.waitForLog(({msg}) => msg === 'unchanged, not refreshed', 'a look')
      const changedAt = performance.now()
      await write(db, `update workouts set duration_minutes = duration_minutes + 1`)
      await until(async () => (await runs()).length === 2, {what: 'the refresh behind the change'})
      // Looks come every four seconds, and the next refresh without a change after 18.
      expect(performance.now() - changedAt).toBeLessThan(9000)
      await worker.waitForLog(
        ({msg, time}) => msg === 'unchanged, not refreshed' && Date.parse(time) > Date.now() - 3000,
        'another look',
      )
      await stopWorkers([worker])
      const jobs = await db.query<{state: string}>('select state from _ayb_jobs')
      expect(jobs.map(({state}) => state)).toEqual(['completed', 'completed'])
    })

    test('refreshes only in time a view of which nobody can tell whether it has changed', async () => {
      const db = await createRegistered()
      await db.query('create materialized view moment as select now() as at')
      await documentOf(['matviews', 'register', 'moment', '--skip-unchanged'], db)
      await documentOf(['matviews', 'refresh', 'moment'], db)
      await documentOf(['schedules', 'create', '--name', 'live', '--max-age', '1h', '--view', 'moment'], db)
      const {stdout} = await ayb(['worker', '--once'], db)
      expect(stdout).toBe('1 claimed: 0 succeeded, 1 unchanged, 0 failed, 0 to be retried, 0 skipped\n')
      expect(await untilNext(db)).toBeGreaterThan(57 * 60_000)
      expect(await db.query('select from _ayb_jobs')).toEqual([])
    })

    test('keeps the job of a run by hand, whose outcome somebody waits for', async () => {
      const db = await createRegistered()
      await documentOf(['matviews', 'update', 'leaderboard', '--skip-unchanged'], db)
      await documentOf(['matviews', 'refresh', 'leaderboard'], db)
      await db.query('create materialized view moment as select now() as at')
      await documentOf(['matviews', 'register', 'moment', '--skip-unchanged'], db)
      await documentOf(['matviews', 'refresh', 'moment'], db)
      await create(db, '20s')
      await documentOf(['schedules', 'create', '--name', 'now', '--max-age', '1h', '--view', 'moment'], db)
      const worker = await startWorker(db)
      await worker.waitForLog(({msg}) => msg === 'unchanged, not refreshed', 'a look')
      const [live, now] = await Promise.all(
        ['live', 'now'].map((name) => documentOf<ScheduleRun>(['schedules', 'run', name, '--wait'], db)),
      )
      expect(live?.job.state).toBe('completed')
      // Nobody can tell whether that view has changed: whoever asks for a run gets a refresh.
      expect(now?.job.state).toBe('completed')
      expect((await runsOf(db, 'moment')).filter(({job_id}) => job_id === now?.job.id)).toHaveLength(1)
      await stopWorkers([worker])
    })

    test('keeps the job of a look that somebody has asked to run', async () => {
      const db = await createRegistered()
      await documentOf(['matviews', 'update', 'leaderboard', '--skip-unchanged'], db)
      await documentOf(['matviews', 'refresh', 'leaderboard'], db)
      const tomorrow = new Date(Date.now() + 86_400_000)
      const days = [new Date(), tomorrow].map((day) =>
        day.toLocaleDateString('en', {weekday: 'short', timeZone: 'UTC'}).toLowerCase(),
      )
      await create(db, '20s', ...['--not-during', `00:00-24:00 ${days.join(',')}`])
      expect(await once(db)).toMatchObject({claimed: 0})
      const [look] = await db.query<{id: string}>('select id from _ayb_jobs')
      await update(db, '--not-during', 'none')
      const {job} = await documentOf<ScheduleRun>(['schedules', 'run', 'live'], db)
      expect(job.id).toBe(look?.id)
      expect(await once(db)).toMatchObject({unchanged: 1})
      expect(await db.query('select state from _ayb_jobs where id = $1', [job.id])).toEqual([
        {state: 'completed'},
      ])
    })
  })
