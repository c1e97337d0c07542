import pg from 'pg'
import {afterAll, expect, test} from 'vitest'
import type {TestDatabase} from '../support/database.ts'
import {insertJob, jobOf} from '../support/jobs.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const CONCURRENCY = 4
/** Longer than a statement of a worker may go unanswered. */
const GONE_MS = 45_000

let server: PostgresServer | undefined

afterAll(async () => {
  await server?.stop()
})

/** A server of its own, whose test sessions wait for no standby. */
async function startServer(): Promise<TestDatabase> {
  const own = await startPostgres({settings: {synchronous_commit: 'on'}})
  server = own
  const url = own.url()
  const query = async (sql: string, params: unknown[] = []) => {
    const client = new pg.Client({connectionString: url, options: '-c synchronous_commit=local'})
    await client.connect()
    try {
      return (await client.query(sql, params)).rows
    } finally {
      await client.end()
    }
  }
  return {url, query} as TestDatabase
}

/** Makes commits wait for that standby; null for none. */
async function awaitStandby(db: TestDatabase, name: string | null): Promise<void> {
  await db.query(`alter system set synchronous_standby_names = '${name ?? ''}'`)
  await db.query('select pg_reload_conf()')
}

/** What the backends run that wait for a standby. */
const waiting = (db: TestDatabase) =>
  db.query<{query: string}>(`select query from pg_stat_activity where wait_event = 'SyncRep'`)

test('a synchronous standby that is gone costs no attempt, and leaves no more backends than slots', async () => {
  const db = await startServer()
  const views = Array.from({length: 30}, (_, position) => `view_${position}`)
  await db.query(views.map((view) => `create materialized view ${view} as select 1 as one`).join('; '))
  const worker = await startWorker(db, ['--concurrency', String(CONCURRENCY), '--poll-interval', '200ms'])
  // The others are registered by the worker, whose session waits in that commit too.
  for (const view of views.slice(0, 2)) await register(db, view)
  await awaitStandby(db, 'gone')
  const jobs = []
  for (const view of views) jobs.push(await insertJob(db, {view_name: view}, {max_attempts: 1}))
  const schedule = await insertSchedule(db, 'due', {view: 'view_0', maxAttempts: 1})

  // Claims and due schedules do not wait.
  const countOf = async (where: string) => (await db.query(`select from _ayb_jobs where ${where}`)).length
  await until(async () => (await countOf(`state = 'running'`)) === CONCURRENCY, {
    what: 'the slots to be filled',
    timeoutMs: PATIENCE_MS,
  })
  await until(async () => (await countOf(`schedule_id = '${schedule}'`)) === 1, {
    what: 'the due schedule to be queued',
    timeoutMs: PATIENCE_MS,
  })
  let most = 0
  const endsAt = performance.now() + GONE_MS
  await until(
    async () => {
      most = Math.max(most, (await waiting(db)).length)
      return performance.now() > endsAt
    },
    {what: 'a while to pass', timeoutMs: 2 * GONE_MS},
  )
  expect(most).toBe(CONCURRENCY)
  // By now all four have got as far as the commit of their refresh.
  await until(
    async () => {
      const rows = await waiting(db)
      return (
        rows.length === CONCURRENCY && rows.every(({query}) => query.includes('refresh materialized view'))
      )
    },
    {what: 'four refreshes to be committed', timeoutMs: PATIENCE_MS},
  )
  expect(await countOf(`state in ('failed', 'completed')`)).toBe(0)

  await awaitStandby(db, null)
  await until(async () => (await countOf(`state = 'completed'`)) === jobs.length + 1, {
    what: 'all jobs to be done',
    timeoutMs: 2 * PATIENCE_MS,
  })
  for (const id of jobs) expect(await jobOf(db, id)).toMatchObject({state: 'completed', attempts: 1})
  await stopWorkers([worker])
  expect(await waiting(db)).toEqual([])
}, 240_000)
