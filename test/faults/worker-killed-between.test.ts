import {describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob, type JobRow, jobOf, runsOfJob, untilJob, untilState} from '../support/jobs.ts'
import {freeze} from '../support/processes.ts'
import {
  createGatedView,
  register,
  registrationOf,
  untilGone,
  untilNothingIsLeft,
  untilRefreshing,
} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {type RunningWorker, startWorker, stopWorkers} from '../support/worker.ts'
import {terminateSessions} from '../support/worker-sessions.ts'

const SOON = ['--poll-interval', '200ms']

/** Ends the worker at once, and waits until it is gone. */
async function kill(worker: RunningWorker): Promise<void> {
  worker.kill('SIGKILL')
  expect(await worker.done).toMatchObject({code: null, signal: 'SIGKILL'})
}

/** The backend of a worker that waits for a lock of somebody else, in a statement like that. */
const untilWaiting = (db: TestDatabase, statement: string) =>
  until(
    async () => {
      const [row] = await db.query<{pid: number}>(
        `select pid from pg_stat_activity
          where datname = current_database() and application_name = 'ayb worker' and state = 'active'
            and wait_event_type = 'Lock' and wait_event <> 'advisory' and query ~ $1`,
        [statement],
      )
      return row?.pid
    },
    {what: `a worker's ${statement} to wait for a lock`, timeoutMs: PATIENCE_MS},
  )

interface Due {
  scheduleId: string
  /** To the microsecond. */
  at: string
}

/** Has a schedule of the view be due now. */
async function makeDue(db: TestDatabase, view: string): Promise<Due> {
  const [now] = await db.query<{at: string}>('select clock_timestamp()::text as at')
  const {at} = now as {at: string}
  return {scheduleId: await insertSchedule(db, 'due', {view, nextRunAt: `'${at}'::timestamptz`}), at}
}

/** Waits until the job of that due time is claimed; there is one, whose time it is. */
async function untilClaimed(db: TestDatabase, {scheduleId, at}: Due): Promise<JobRow> {
  const claimed = await until(
    async () => {
      const [job] = await db.query<JobRow>(
        `select * from _ayb_jobs where state = 'running' and run_at = $1`,
        [at],
      )
      return job
    },
    {what: 'the job of the due time', timeoutMs: PATIENCE_MS},
  )
  expect(claimed).toMatchObject({schedule_id: scheduleId, attempts: 1})
  expect(await db.query('select from _ayb_jobs')).toHaveLength(1)
  return claimed
}

/** The due time has one job, which has ended so, and the schedule went on to its next. */
async function expectOneEnd(db: TestDatabase, {scheduleId, at}: Due, id: string, end: object): Promise<void> {
  expect(await db.query('select * from _ayb_jobs where schedule_id = $1', [scheduleId])).toMatchObject([
    {id, state: 'completed', worker_id: null, lease_until: null, ...end},
  ])
  const schedules = 'select from _ayb_job_schedules where id = $1 and next_run_at > greatest(now(), $2)'
  expect(await db.query(schedules, [scheduleId, at])).toHaveLength(1)
}

const stampOf = (db: TestDatabase, view: string) => db.query(`select stamp::text from ${view}`)

describe.concurrent('a worker that is killed', {timeout: 120_000}, () => {
  test('between the claim and the refresh has refreshed nothing, and another one does, once', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create materialized view counted as select clock_timestamp() as stamp')
    await register(db, 'counted')
    const before = await stampOf(db, 'counted')
    const victim = await startWorker(db, SOON)
    // Without the session that it keeps ready for its first refresh, it has to open another, which waits
    // here.
    await terminateSessions(db, 'spare')
    const barrier = await db.connect()
    await barrier.query('begin; lock table _ayb_cli_migrations in access exclusive mode')
    const due = await makeDue(db, 'counted')
    const {id, worker_id} = await untilClaimed(db, due)
    expect(worker_id).toBe(victim.logs()[0]?.workerId)
    // The look at the tables (which locks them, from 17 on), or the reading of the migrations.
    const pid = await untilWaiting(db, '_ayb_cli_migrations|relhasrules')
    await kill(victim)
    await barrier.query('rollback')
    await untilGone(db, pid)
    expect(victim.logs().some(({msg}) => msg === 'refreshing')).toBe(false)
    expect(await stampOf(db, 'counted')).toEqual(before)
    expect(await jobOf(db, id)).toMatchObject({state: 'running', attempts: 1})

    const heir = await startWorker(db, SOON)
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2, last_error: null})
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'error', error: expect.stringContaining('died'), worker_id: victim.logs()[0]?.workerId},
      {status: 'success', worker_id: heir.logs()[0]?.workerId},
    ])
    expect(await stampOf(db, 'counted')).not.toEqual(before)
    await stopWorkers([heir])
    await expectOneEnd(db, due, id, {attempts: 2})
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('between the refresh and its record has done neither, and another one does both', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    const before = await stampOf(db, 'slow')
    await gate.close()
    const due = await makeDue(db, 'slow')
    const victim = await startWorker(db, SOON)
    const {id} = await untilClaimed(db, due)
    await untilRefreshing(db, 'slow')
    // The refresh can end, and its record has to wait for the row of the job.
    const barrier = await db.connect()
    await barrier.query('begin')
    await barrier.query('select from _ayb_jobs where id = $1 for update', [id])
    await gate.open()
    const pid = await untilWaiting(db, 'refresh materialized view')
    // Not for the view: that lock it has.
    const locks = await db.query(
      `select mode from pg_locks where pid = $1 and granted and relation = 'slow'::regclass and mode = 'AccessExclusiveLock'`,
      [pid],
    )
    expect(locks).toHaveLength(1)
    await kill(victim)
    await untilGone(db, pid)
    expect(await stampOf(db, 'slow')).toEqual(before)
    expect(await registrationOf(db, 'slow')).toMatchObject({last_refresh_status: null})
    await barrier.query('rollback')
    expect(await jobOf(db, id)).toMatchObject({state: 'running', attempts: 1})

    const heir = await startWorker(db, SOON)
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2, last_error: null})
    expect((await runsOfJob(db, id)).map(({status}) => status)).toEqual(['error', 'success'])
    expect(await stampOf(db, 'slow')).not.toEqual(before)
    expect(await registrationOf(db, 'slow')).toMatchObject({last_refresh_status: 'success'})
    await stopWorkers([heir])
    await expectOneEnd(db, due, id, {attempts: 2})
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('after its refresh was committed, before it heard of that, leaves nothing to be done again', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const due = await makeDue(db, 'slow')
    const victim = await startWorker(db, SOON)
    const {id} = await untilClaimed(db, due)
    const pid = await untilRefreshing(db, 'slow')
    await freeze(victim)
    await gate.open()
    await untilJob(db, id, ({state}) => state === 'completed', 'completed behind its back')
    const after = await stampOf(db, 'slow')
    await kill(victim)
    expect(victim.logs().some(({msg}) => msg === 'refreshed')).toBe(false)
    await untilGone(db, pid)

    const heir = await startWorker(db, SOON)
    const later = await insertJob(db, {view_name: 'leaderboard'})
    await untilState(db, later, 'completed')
    await stopWorkers([heir])
    await expectOneEnd(db, due, id, {attempts: 1})
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'success', worker_id: victim.logs()[0]?.workerId},
    ])
    expect(await stampOf(db, 'slow')).toEqual(after)
    await untilNothingIsLeft(db, PATIENCE_MS)
  })
})
