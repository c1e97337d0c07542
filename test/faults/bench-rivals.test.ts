import {join} from 'node:path'
import {afterEach, beforeAll, describe, expect, test} from 'vitest'
import {installPeers} from '../bench/install.ts'
import {findNode24, type RunningProgram, rivalsFolder, startProgram} from '../bench/programs.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {until} from '../support/until.ts'

const LOCK = `pg_advisory_lock(hashtext('v0'))`
const UNLOCK = `pg_advisory_unlock(hashtext('v0'))`
/** Twelve seconds and a look for jobs on an idle machine; without the recovery, a quarter of an hour or four hours. */
const TAKEN_OVER_WITHIN_MS = 30_000

const running: RunningProgram[] = []
let node: string

beforeAll(async () => {
  const said: string[] = []
  const isInstalled = await installPeers((text) => said.push(text))
  const found = findNode24()
  if (!isInstalled || found === null) {
    throw new Error(`the other queues, and the Node.js 24 that they run on, are missing: ${said.join('\n')}`)
  }
  node = found
}, 300_000)

afterEach(async () => {
  for (const program of running) program.kill('SIGKILL')
  await Promise.all(running.splice(0).map(({ended}) => ended))
})

/** A queue's own record of what it has yet to do, and of why a job was put off. */
const QUEUES = [
  {
    program: 'graphile-worker',
    left: 'select last_error as reason from graphile_worker.jobs',
  },
  {
    program: 'pg-boss',
    left: `select output->>'message' as reason from pgboss.job where state <> 'completed' and name = 'refresh'`,
  },
]
const RIVALS = QUEUES.flatMap((queue) => [
  {...queue, isTuned: false, settings: 'default'},
  {...queue, isTuned: true, settings: 'tuned'},
])

describe.each(RIVALS)('$program, $settings, does the same work as ayb', ({program, left, isTuned}) => {
  /** Resolves when its jobs are in the queue. */
  async function start(db: TestDatabase, {jobs, views}: {jobs: number; views: number}) {
    const settings = {jobs, views, slots: 2, isTuned, isConcurrent: false, leadMs: 2000, deadlineMs: 60_000}
    const args = [join(rivalsFolder, `${program}.mjs`), JSON.stringify(settings)]
    const rival = startProgram(node, args, {url: db.url})
    running.push(rival)
    await rival.waitFor(/^ready, due at/m)
    return rival
  }

  const reasons = (db: TestDatabase) => db.query<{reason: string | null}>(left)

  test('one refresh of a view at once, each with its history and status in its transaction', async () => {
    const db = await createTestDatabase()
    await db.query('create table numbers (divisor int)')
    await db.query('insert into numbers values (1)')
    await db.query('create materialized view v0 as select 1 as id')
    await db.query('create materialized view v1 as select 1 / divisor as id from numbers')
    await db.query('update numbers set divisor = 0')
    const other = await db.connect()
    await other.query(`select ${LOCK}`)

    await start(db, {jobs: 4, views: 2})
    await until(async () => (await reasons(db)).some(({reason}) => reason?.includes('refreshes v0')), {
      what: 'a job whose view is locked to be put off',
    })
    await until(async () => (await reasons(db)).some(({reason}) => reason?.includes('division by zero')), {
      what: 'a job to fail',
    })
    expect(await db.query(`select from refresh_history where view_name = 'v0'`)).toHaveLength(0)
    await db.query('update numbers set divisor = 1')
    await other.query(`select ${UNLOCK}`)
    await until(async () => (await reasons(db)).length === 0, {what: 'all jobs', timeoutMs: 40_000})

    const history = await db.query(
      `select view_name, status, count(*)::int, count(distinct job_id)::int as jobs from refresh_history
          where status = 'success' or error = 'division by zero' group by 1, 2 order by 1, 2`,
    )
    expect(history).toEqual([
      {view_name: 'v0', status: 'success', count: 2, jobs: 2},
      {view_name: 'v1', status: 'error', count: expect.any(Number), jobs: expect.any(Number)},
      {view_name: 'v1', status: 'success', count: 2, jobs: 2},
    ])
    const last = await db.query(
      `select s.view_name, s.status, h.xmin = s.xmin and c.xmin = s.xmin as is_one_transaction
           from refresh_status s
           join pg_class c on c.relname = s.view_name
           join lateral (select h.xmin from refresh_history h where h.view_name = s.view_name
                          order by h.started_at desc limit 1) h on true
          order by 1`,
    )
    expect(last).toEqual([
      {view_name: 'v0', status: 'success', is_one_transaction: true},
      {view_name: 'v1', status: 'success', is_one_transaction: true},
    ])
  }, 90_000)

  test('another worker takes over the job of a killed one in seconds', async () => {
    const db = await createTestDatabase()
    await db.query('create table pace (seconds float8)')
    await db.query('insert into pace values (0)')
    await db.query('create materialized view v0 as select 1 as id, pg_sleep(seconds)::text from pace')
    await db.query('update pace set seconds = 600')

    const first = await start(db, {jobs: 1, views: 1})
    const isRefreshing = () =>
      db.query<{pid: number}>(
        `select pid from pg_stat_activity
            where datname = current_database() and state = 'active' and query like 'select refresh_view%'`,
      )
    await until(async () => (await isRefreshing()).length === 1, {what: 'the refresh to begin'})
    await db.query('update pace set seconds = 0')
    await start(db, {jobs: 0, views: 1})
    first.kill('SIGKILL')

    await until(async () => (await reasons(db)).length === 0, {
      what: 'the other worker to have done it',
      timeoutMs: TAKEN_OVER_WITHIN_MS,
    })
    expect(await db.query('select status from refresh_history')).toEqual([{status: 'success'}])
  }, 90_000)
})
