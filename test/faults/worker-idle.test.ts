import {readFileSync} from 'node:fs'
import {describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob} from '../support/jobs.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, say, startWorker, stopWorkers} from '../support/worker.ts'

/**
 * How long a rate is measured. The worker does some things once a minute: within a shorter time, they would
 * count too much or not at all.
 */
const MEASURED_MS = 60_000

interface Count {
  commits: number
  /** By the server's clock. */
  ms: number
}

/**
 * Waits until what began with the worker is counted: Postgres counts a session's transactions when its next
 * one ends, or when it has been idle for ten seconds. `observer` is another database, so that asking costs
 * none.
 */
const untilAllIsCounted = (observer: TestDatabase, db: TestDatabase) =>
  until(
    async () => {
      const sessions = await observer.query<{is_new: boolean}>(
        `select backend_start > clock_timestamp() - interval '11 s' as is_new from pg_stat_activity
          where datname = $1`,
        [db.name],
      )
      return sessions.length > 1 && sessions.every(({is_new}) => !is_new)
    },
    {what: 'the start of the worker to be over', timeoutMs: PATIENCE_MS},
  )

/** Waits until no autovacuum works in the database: its transactions are counted, too. */
const untilNoAutovacuum = (observer: TestDatabase, db: TestDatabase) =>
  until(
    async () => {
      const running = await observer.query(
        `select from pg_stat_activity where datname = $1 and backend_type = 'autovacuum worker'`,
        [db.name],
      )
      return running.length === 0
    },
    {what: 'the end of an autovacuum', timeoutMs: PATIENCE_MS},
  )

/** Waits until the server counts more transactions of the database than that, at that time or later. */
const untilMore = (observer: TestDatabase, db: TestDatabase, {commits, ms}: Count) =>
  until(
    async () => {
      const [row] = await observer.query<Count>(
        `select xact_commit::int as commits, extract(epoch from clock_timestamp())::float8 * 1000 as ms
           from pg_stat_database where datname = $1`,
        [db.name],
      )
      return row && row.commits > commits && row.ms >= ms && row
    },
    {what: `more than ${commits} transactions`, timeoutMs: MEASURED_MS + PATIENCE_MS},
  )

/** Transactions a second over a minute, from one that was counted to one that was counted. */
async function rateOf(observer: TestDatabase, db: TestDatabase): Promise<number> {
  const now = await untilMore(observer, db, {commits: -1, ms: 0})
  const first = await untilMore(observer, db, now)
  const last = await untilMore(observer, db, {commits: first.commits, ms: first.ms + MEASURED_MS})
  return (1000 * (last.commits - first.commits)) / (last.ms - first.ms)
}

describe.concurrent('an idle worker', {timeout: 300_000}, () => {
  test('costs at most one transaction in two seconds, and little memory', async () => {
    const [db, observer] = [await createTestDatabase({hasTables: true}), await createTestDatabase()]
    await insertSchedule(db, 'seldom', {view: 'leaderboard', nextRunAt: `now() + interval '1 day'`})
    const worker = await startWorker(db)
    await untilAllIsCounted(observer, db)
    let rate = Number.POSITIVE_INFINITY
    // An autovacuum can begin within a round, but not in each of three.
    for (let round = 0; round < 3 && rate > 0.5; round++) {
      await untilNoAutovacuum(observer, db)
      rate = await rateOf(observer, db)
    }
    const status = readFileSync(`/proc/${worker.pid}/status`, 'utf8')
    const rssMb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
    say(`an idle worker: a transaction in ${(1 / rate).toFixed(1)} s, ${Math.round(rssMb)} MB`)
    expect(rate).toBeLessThanOrEqual(0.5)
    expect(rssMb).toBeLessThan(120)
    await stopWorkers([worker])
    expect(worker.logs()).toHaveLength(3)
  })
})

describe.concurrent('retention', {timeout: 90_000}, () => {
  const OLD = '2020-01-01'
  const PAYLOAD = {view_name: 'leaderboard'}

  async function fill() {
    const db = await createTestDatabase({hasTables: true})
    const ended = {created_at: OLD, updated_at: OLD, run_at: OLD}
    const old = await Promise.all([
      insertJob(db, PAYLOAD, {...ended, state: 'completed', completed_at: OLD}),
      insertJob(db, PAYLOAD, {...ended, state: 'failed'}),
      insertJob(db, PAYLOAD, {...ended, state: 'canceled', canceled_at: OLD}),
    ])
    const kept = await Promise.all([
      insertJob(db, PAYLOAD, {...ended, state: 'queued', run_at: '2100-01-01'}),
      insertJob(db, PAYLOAD, {...ended, state: 'running', lease_until: '2100-01-01', worker_id: 'other'}),
      insertJob(db, PAYLOAD, {state: 'completed', completed_at: new Date().toISOString()}),
    ])
    for (const id of [...old, ...kept]) {
      await db.query(
        `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, job_id, status, started_at)
         values ('public', 'leaderboard', 'standard', 'schedule', $1, 'success', '2020-01-01')`,
        [id],
      )
    }
    return {db, old, kept}
  }

  test('deletes what ended long ago, with its runs, and nothing else', async () => {
    const {db, old, kept} = await fill()
    await db.query(`
      insert into _ayb_jobs (type, payload, state, completed_at, updated_at)
      select 'materialized_view_refresh', '{}', 'completed', '2020-01-01', '2020-01-01' from generate_series(1, 1200)`)
    // By hand, and of a job that is gone: these go by their age.
    await db.query(`
      insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, job_id, status, started_at)
      select 'public', 'leaderboard', 'standard', 'manual', id, 'success', started_at
        from (values (null::uuid, timestamptz '2020-01-01'), (gen_random_uuid(), '2020-01-01'), (null, now())) as v (id, started_at)`)
    const worker = await startWorker(db, ['--retention', '7d'])
    await worker.waitForLog(
      ({msg}) => msg === 'deleted 1203 finished jobs and 8 runs past retention',
      'the deletion',
    )
    const left = await db.query<{id: string}>('select id from _ayb_jobs')
    expect(left.map(({id}) => id).sort()).toEqual([...kept].sort())
    for (const id of old) expect(await runsOfJob(db, id)).toEqual([])
    expect(await db.query('select from _ayb_matview_refresh_runs')).toHaveLength(1)
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })

  test('keeps up: more than a pass of ten minutes used to take goes within seconds, and jobs run meanwhile', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(`
      insert into _ayb_jobs (type, payload, state, completed_at, updated_at)
      select 'materialized_view_refresh', '{}', 'completed', '2020-01-01', '2020-01-01' from generate_series(1, 12000)`)
    await insertSchedule(db, 'often', {view: 'leaderboard', cron: '* * * * * *'})
    const worker = await startWorker(db, ['--retention', '7d'])
    const deletion = await worker.waitForLog(({msg}) => msg.includes('past retention'), 'the deletion')
    expect(deletion.jobs).toBe(12_000)
    const refreshed = worker.logs().filter(({msg}) => msg.startsWith('refreshed'))
    expect(refreshed.length).toBeGreaterThan(0)
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })

  test('of 0 keeps all', async () => {
    const {db, old, kept} = await fill()
    const worker = await startWorker(db, ['--retention', '0'])
    const done = await insertJob(db, PAYLOAD)
    await db.query('notify ayb_cli_wake')
    await until(async () => (await jobOf(db, done)).state === 'completed', {
      what: 'a turn of the worker',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])
    expect(await db.query('select from _ayb_jobs')).toHaveLength(old.length + kept.length + 1)
  })
})
