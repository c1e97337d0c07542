import {beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {parseCron} from '../../src/lib/cron.ts'
import type {Declarations, DeclaredChanges} from '../../src/lib/records/declarations.ts'
import type {NextRuns, Schedule, ScheduleDocument, ScheduleRun} from '../../src/lib/records/schedules.ts'
import type {WorkerResult} from '../../src/lib/records/workers.ts'
import {jitterOf} from '../../src/lib/schedule-start.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {insertJob, jobOf} from '../support/jobs.ts'
import {createSchedule, insertSchedule, pretendWorker} from '../support/schedules.ts'

const HOUR = 3_600_000

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query('create materialized view others as select id from leaderboard')
})

beforeEach(async () => {
  for (const table of ['_ayb_jobs', '_ayb_job_edges', '_ayb_job_schedules', '_ayb_schedule_policies'])
    await db.query(`delete from ${table}`)
  await pretendWorker(db).catch(() => {})
})

const policies = () => db.query('select * from _ayb_schedule_policies')

const update = (...flags: string[]) =>
  documentOf<ScheduleDocument>(['schedules', 'update', 'nightly', ...flags], db)

/** Of the clock of UTC, `hours` from now: as a time of the day. */
const clockIn = (hours: number): string => new Date(Date.now() + hours * HOUR).toISOString().slice(11, 16)

/** The end of `A-B`, which now lies in, as an instant. */
function endOf(hours: number): string {
  const end = new Date(Date.now() + hours * HOUR)
  end.setUTCSeconds(0, 0)
  return end.toISOString()
}

const work = () => ayb(['worker', '--once', '--json'], db)

describe('the policy of a schedule', () => {
  const ALL = [
    '--jitter',
    '5m',
    '--catch-up',
    'none',
    '--not-during',
    '8:00-18:00 Mon-Fri',
    '--not-during',
    '00:00-24:00 sun',
  ]

  test('is stored, shown, listed, changed and taken away', async () => {
    const schedule = await createSchedule(db, 'nightly', {more: ALL})
    const policy = {jitterMs: 300_000, catchUp: 'none', notDuring: ['08:00-18:00 mon-fri', '00:00-24:00 sun']}
    expect(schedule).toMatchObject(policy)
    expect((await documentOf<Schedule[]>(['schedules', 'list'], db))[0]).toMatchObject(policy)
    const shown = await ayb(['schedules', 'show', 'nightly'], db)
    expect(shown.stdout).toMatch(/^Not during\t08:00-18:00 mon-fri; 00:00-24:00 sun$/m)
    const start = Date.parse(/^Begins\t(.*)$/m.exec(shown.stdout)?.[1] ?? '')
    expect(start).toBeGreaterThanOrEqual(
      Date.parse(schedule.nextRunAt as string) + jitterOf(schedule, parseCron(schedule.cronExpr)),
    )
    const listed = await ayb(['schedules', 'list'], db)
    expect(listed.stdout.trimEnd().split('\t').slice(-3)).toEqual([
      '300000',
      'none',
      '08:00-18:00 mon-fri; 00:00-24:00 sun',
    ])

    expect((await update('--jitter', 'none')).schedule).toMatchObject({...policy, jitterMs: null})
    expect((await update('--catch-up', 'latest')).schedule).toMatchObject({catchUp: 'latest', jitterMs: null})
    expect((await update('--name', 'nightly')).schedule.notDuring).toEqual(policy.notDuring)
    expect((await update('--not-during', 'none')).schedule.notDuring).toEqual([])
    expect(await policies()).toEqual([])
    await update(...ALL)
    expect(await policies()).toHaveLength(1)
    await documentOf(['schedules', 'delete', 'nightly'], db)
    expect(await policies()).toEqual([])
  })

  test('is in the command that undoes a deletion, with the scope as flags', async () => {
    const more = [...ALL, '--cascade', '--with-dependencies']
    const before = await createSchedule(db, 'nightly', {more})
    const {stderr} = await ayb(['schedules', 'delete', 'nightly'], db)
    expect(stderr).toContain(
      `--view public.leaderboard --cascade --with-dependencies --max-attempts 3 --jitter 5m --catch-up none --not-during '08:00-18:00 mon-fri' --not-during '00:00-24:00 sun'`,
    )
    const after = await createSchedule(db, 'nightly', {more})
    const {id, createdAt, updatedAt, ...same} = before
    expect(after).toMatchObject(same)
  })

  test('is refused where no time is left, and a jitter that is too long is told of', async () => {
    const line = (...flags: string[]) => [
      'schedules',
      'create',
      '--name',
      'x',
      '--cron',
      '@hourly',
      '--view',
      'leaderboard',
      ...flags,
    ]
    const wrong = await failureOf(line('--not-during', 'at night'), 'INVALID_ARGUMENT', db)
    expect(wrong.message).toBe('not during: "at night" is not a quiet time')
    expect(wrong.hint).toContain('22:00-06:00')
    const both = await failureOf(
      line('--not-during', 'none', '--not-during', '09:00-10:00'),
      'INVALID_ARGUMENT',
      db,
    )
    expect(both.message).toBe('not during: "none" stands beside a quiet time')
    await failureOf(
      line('--not-during', '06:00-18:00', '--not-during', '18:00-06:00'),
      'INVALID_ARGUMENT',
      db,
    )
    await failureOf(line('--jitter', '0s'), 'INVALID_ARGUMENT', db)
    expect(await ayb(line('--catch-up', 'all'), db)).toMatchObject({code: 2})
    const {warnings} = await documentOf<ScheduleDocument>(line('--jitter', '40m'), db)
    expect(warnings).toEqual([
      'the jitter of the schedule x, 40 m 00 s, counts as 30 m 00 s, half of the shortest time between two runs',
    ])
    await insertSchedule(db, 'unreadable', {cron: 'never'})
    const updated = await documentOf<ScheduleDocument>(
      ['schedules', 'update', 'unreadable', '--jitter', '40m'],
      db,
    )
    expect(updated).toMatchObject({schedule: {jitterMs: 2_400_000}, warnings: []})
  })

  test('is previewed', async () => {
    const preview = (...flags: string[]) =>
      documentOf<NextRuns>(['schedules', 'next', '0 * * * *', '--count', '24', ...flags], {url: ''})
    const hours = ({runs}: NextRuns) => runs.map((run) => run.slice(11, 16)).sort()
    expect(new Set(hours(await preview())).size).toBe(24)
    const quiet = await preview('--not-during', '01:30-22:30')
    expect(new Set(hours(quiet))).toEqual(new Set(['00:00', '01:00', '22:30', '23:00']))
    expect(quiet.runs).toHaveLength(24)
  })

  test('is part of files, and export then apply changes nothing', async () => {
    const file = `version: 1
schedules:
  nightly: {view: leaderboard, cron: "30 2 * * *", jitter: 5m, catchUp: none, notDuring: [8:00-18:00 mon-fri, 00:00-24:00 sun]}
  weekly: {view: leaderboard, cron: "@weekly", notDuring: 22:00-6:00}
`
    const apply = (text: string) =>
      documentOf<DeclaredChanges>(['apply', '-f', '-'], {url: db.url, input: text})
    const first = await apply(file)
    expect(
      first.changes.map(({name, fields}) => [name, ...fields.slice(2).map(({field, to}) => [field, to])]),
    ).toEqual([
      [
        'nightly',
        ['jitter', '5m'],
        ['catchUp', 'none'],
        ['notDuring', ['08:00-18:00 mon-fri', '00:00-24:00 sun']],
      ],
      ['weekly', ['notDuring', ['22:00-06:00']]],
    ])
    const before = await policies()
    expect(before).toHaveLength(2)
    const {stdout} = await ayb(['export'], db)
    for (const text of [file, stdout]) expect(await apply(text)).toMatchObject({changes: []})
    expect(await policies()).toEqual(before)
    expect((await documentOf<Declarations>(['export'], db)).schedules.weekly).toMatchObject({
      notDuring: ['22:00-06:00'],
    })
    const changed = file
      .replace('jitter: 5m, catchUp: none, ', '')
      .replace('notDuring: 22:00-6:00', 'notDuring: none')
    const diff = await ayb(['diff', '-f', '-'], {url: db.url, input: changed})
    expect(diff.stdout).toContain('~ schedule nightly: jitter 5m → none, catchUp none → latest\n')
    expect(diff.stdout).toContain('~ schedule weekly: notDuring 22:00-06:00 → none\n')
    await apply(changed)
    expect(await policies()).toMatchObject([
      {jitter_ms: null, not_during: ['08:00-18:00 mon-fri', '00:00-24:00 sun']},
    ])
    const both = file.replace('22:00-6:00', '[none, 09:00-10:00]')
    expect(
      await failureOf(['apply', '-f', '-'], 'INVALID_ARGUMENT', {url: db.url, input: both}),
    ).toMatchObject({
      details: {errors: [{line: 4, message: 'not during: "none" stands beside a quiet time'}]},
    })
    const wrong = file.replace('catchUp: none', 'catchUp: last').replace('22:00-6:00', '{from: 22}')
    const {details} = await failureOf(['apply', '-f', '-'], 'INVALID_ARGUMENT', {url: db.url, input: wrong})
    expect(details).toMatchObject({
      errors: [
        {
          line: 3,
          path: 'schedules.nightly.catchUp',
          message: expect.stringContaining('is not one of its values'),
        },
        {line: 4, path: 'schedules.weekly.notDuring', message: expect.stringContaining('is a map')},
      ],
    })
  })
})

describe('a worker', () => {
  /** A schedule that is due, with a row that says how. */
  async function due(
    name: string,
    policy: {jitterMs?: number; catchUp?: string; notDuring?: string[]},
    nextRunAt = 'now()',
  ) {
    const cron = '*/5 * * * *'
    const id = await insertSchedule(db, name, {view: 'leaderboard', cron, nextRunAt})
    await db.query(
      `insert into _ayb_schedule_policies (schedule_id, jitter_ms, catch_up, not_during) values ($1, $2, $3, $4)`,
      [id, policy.jitterMs ?? null, policy.catchUp ?? null, policy.notDuring ?? null],
    )
    return id
  }

  const jobsOf = (id: string) =>
    db.query<{id: string; run_at: Date; state: string}>(
      'select id, run_at, state from _ayb_jobs where schedule_id = $1',
      [id],
    )

  test('begins runs behind their due times by the jitter, and the next run stays that of cron', async () => {
    const id = await due('jittered', {jitterMs: 100_000}, `date_trunc('minute', now())`)
    const offset = jitterOf({id, jitterMs: 100_000}, parseCron('*/5 * * * *'))
    const [before] = await db.query<{next_run_at: Date}>('select next_run_at from _ayb_job_schedules')
    await work()
    const [job] = await jobsOf(id)
    expect((job?.run_at.getTime() ?? 0) - (before?.next_run_at.getTime() ?? 0)).toBe(offset)
    const [after] = await db.query<{next_run_at: Date}>('select next_run_at from _ayb_job_schedules')
    expect((after?.next_run_at.getTime() ?? 1) % 300_000).toBe(0)
  })

  test('puts all that is due in a quiet time into one run at its end, however far that is', async () => {
    // Three days and more, which begin now.
    const days = [0, 1, 2, 3].map((day) => new Date(Date.now() + day * 24 * HOUR - HOUR).getUTCDay())
    const names = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
    const notDuring = [
      `${clockIn(-1)}-${clockIn(-1.1)} ${days.map((day) => names[day]).join(',')}`,
      `${clockIn(-1.2)}-${clockIn(-0.9)}`,
    ]
    const id = await due('quiet', {notDuring})
    await work()
    const [job] = await jobsOf(id)
    expect(job?.run_at.getTime()).toBeGreaterThan(Date.now() + 2 * 24 * HOUR)
    for (let again = 0; again < 2; again++) {
      await db.query('update _ayb_job_schedules set next_run_at = now()')
      await work()
    }
    expect(await jobsOf(id)).toEqual([job])
  })

  test('drops a run that was missed where nothing is made up for, and else makes up for the last one', async () => {
    const none = await due('none', {catchUp: 'none'}, `now() - interval '2 hours'`)
    await db.query(`update _ayb_job_schedules set cron_expr = '0 0 1 1 *'`)
    const latest = await due('latest', {catchUp: 'latest', jitterMs: 1}, `now() - interval '2 hours'`)
    const {stderr} = await ayb(['worker', '--once'], db)
    expect(stderr).toContain('schedule none missed its run')
    expect(await jobsOf(none)).toEqual([])
    expect(await jobsOf(latest)).toMatchObject([{state: 'completed'}])
    const rows = await db.query(
      `select name, last_run_at is null as is_untouched, next_run_at > now() as is_ahead from _ayb_job_schedules order by 1`,
    )
    expect(rows).toEqual([
      {name: 'latest', is_untouched: false, is_ahead: true},
      {name: 'none', is_untouched: true, is_ahead: true},
    ])
  })

  test('begins no job in a quiet time: not one of another program, a retry, a member of a set, or by hand', async () => {
    const schedule = await createSchedule(db, 'quiet', {
      cron: '0 0 1 1 *',
      more: ['--cascade', '--not-during', `${clockIn(-1)}-${clockIn(2)}`],
    })
    const end = endOf(2)
    await documentOf(['matviews', 'register', '--all'], db)
    const ran = await documentOf<ScheduleRun>(['schedules', 'run', 'quiet'], db)
    expect(ran.jobs).toHaveLength(2)
    expect(ran.warnings).toEqual([`the schedule quiet begins no run now: workers wait until ${end}`])
    const foreign = await insertJob(db, {view_name: 'others'}, {schedule_id: schedule.id, attempts: 1})
    // Readers kept the job waiting until the quiet time began, which does not count.
    await db.query(
      `insert into _ayb_matview_states as s (schema_name, view_name, lock_job_id, lock_first_try_at, lock_tries, lock_wait_ms)
       values ('public', 'others', $1, now() - interval '5 minutes', 2, 4000)
           on conflict (schema_name, view_name) do update
          set lock_job_id = excluded.lock_job_id, lock_first_try_at = excluded.lock_first_try_at,
              lock_tries = excluded.lock_tries, lock_wait_ms = excluded.lock_wait_ms`,
      [foreign],
    )
    const {code, stdout} = await work()
    const result: WorkerResult = JSON.parse(stdout)
    expect(result).toMatchObject({claimed: 2, succeeded: 0, skipped: 2})
    expect(result.remaining.map(({reason}) => reason)).toContain(`its schedule begins no run before ${end}`)
    expect(code).toBe(1)
    expect(await jobOf(db, foreign)).toMatchObject({state: 'queued', attempts: 1, run_at: new Date(end)})
    const tries = 'lock_job_id, lock_first_try_at, lock_tries, lock_wait_ms'
    const states = await db.query<object>(
      `select ${tries} from _ayb_matview_states where view_name = 'others'`,
    )
    expect(states.map((state) => Object.values(state))).toEqual([[null, null, null, null]])
    expect(await jobOf(db, ran.jobs[0]?.id ?? '')).toMatchObject({
      state: 'queued',
      attempts: 0,
      run_at: new Date(end),
    })
    // What is due when the quiet time is over runs.
    await documentOf(['schedules', 'update', 'quiet', '--not-during', 'none'], db)
    await db.query(`update _ayb_jobs set run_at = now() where state = 'queued'`)
    expect(JSON.parse((await work()).stdout)).toMatchObject({succeeded: 3, remaining: []})
  })

  test('ignores what it cannot read, says so, and deletes what belongs to no schedule', async () => {
    const id = await due('odd', {
      jitterMs: -5,
      catchUp: 'sometimes',
      notDuring: ['never', '00:00-12:00', '12:00-00:00'],
    })
    await db.query(
      `insert into _ayb_schedule_policies (schedule_id, jitter_ms) values (gen_random_uuid(), 1)`,
    )
    const shown = await documentOf<ScheduleDocument>(['schedules', 'show', 'odd'], db)
    expect(shown.schedule).toMatchObject({jitterMs: null, catchUp: 'latest'})
    expect(shown.warnings).toEqual([
      'the schedule odd has quiet times that cannot be read, and are ignored: "never"',
    ])
    await work()
    expect(await jobsOf(id)).toMatchObject([{state: 'completed'}])
    expect(await policies()).toHaveLength(1)
  })

  test('does other schedules beside one with quiet times and a promise whose expression nobody understands', async () => {
    const odd = await due('odd', {notDuring: [`${clockIn(2)}-${clockIn(3)}`]})
    await db.query(`update _ayb_job_schedules set cron_expr = 'every day'`)
    await db.query(
      `insert into _ayb_schedule_promises (schedule_id, max_age_ms, cron_expr) values ($1, 60000, 'every day')`,
      [odd],
    )
    const fine = await insertSchedule(db, 'fine', {view: 'leaderboard'})
    await work()
    expect(await jobsOf(fine)).toMatchObject([{state: 'completed'}])
  })
})
