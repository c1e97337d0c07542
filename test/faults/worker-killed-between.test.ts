import {describe, expect, test} from 'vitest'
import {type TestDatabase, until} from '../support/database.ts'
import {
  createGatedView,
  register,
  registrationOf,
  untilNothingIsLeft,
  untilRefreshing,
} from '../support/refresh.ts'
import {
  createWorkerDatabase,
  insertJob,
  jobOf,
  PATIENCE_MS,
  type RunningWorker,
  runsOfJob,
  startWorker,
  stopWorkers,
  untilJob,
  untilState,
} from '../support/worker.ts'

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

const untilGone = (db: TestDatabase, pid: number) =>
  until(async () => (await db.query('select from pg_stat_activity where pid = $1', [pid])).length === 0, {
    what: `backend ${pid} to be gone`,
    timeoutMs: PATIENCE_MS,
  })

const stampOf = (db: TestDatabase, view: string) => db.query(`select stamp::text from ${view}`)

describe.concurrent('a worker that is killed', {timeout: 120_000}, () => {
  test('between the claim and the refresh has refreshed nothing, and another one does, once', async () => {
    const db = await createWorkerDatabase()
    await db.query('create materialized view counted as select clock_timestamp() as stamp')
    await register(db, 'counted')
    const before = await stampOf(db, 'counted')
    const victim = await startWorker(db, SOON)
    // Without the session that it keeps ready for its first refresh, it has to open another, which waits here.
    await until(
      () =>
        db
          .query(
            `select pg_terminate_backend(pid) from pg_stat_activity
              where application_name = 'ayb worker' and datname = current_database() and state = 'idle'
                and query like '%pg_advisory_lock_shared%'`,
          )
          .then((ended) => ended.length > 0),
      {what: 'its spare session', timeoutMs: PATIENCE_MS},
    )
    const barrier = await db.connect()
    await barrier.query('begin; lock table _ayb_cli_migrations in access exclusive mode')
    const id = await insertJob(db, {view_name: 'counted'})
    const claimed = await untilState(db, id, 'running')
    expect(claimed).toMatchObject({attempts: 1, worker_id: victim.logs()[0]?.workerId})
    const pid = await untilWaiting(db, '_ayb_cli_migrations')
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
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('between the refresh and its record has done neither, and another one does both', async () => {
    const db = await createWorkerDatabase()
    const gate = await createGatedView(db, 'slow')
    const before = await stampOf(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const victim = await startWorker(db, SOON)
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
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('after its refresh was committed, before it heard of that, leaves nothing to be done again', async () => {
    const db = await createWorkerDatabase()
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const victim = await startWorker(db, SOON)
    const pid = await untilRefreshing(db, 'slow')
    victim.kill('SIGSTOP')
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
    expect(await jobOf(db, id)).toMatchObject({state: 'completed', attempts: 1})
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'success', worker_id: victim.logs()[0]?.workerId},
    ])
    expect(await stampOf(db, 'slow')).toEqual(after)
    await untilNothingIsLeft(db, PATIENCE_MS)
  })
})
