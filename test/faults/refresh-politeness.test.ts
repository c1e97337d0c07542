import pg from 'pg'
import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob, untilJob, untilState} from '../support/jobs.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {
  createRefreshDatabase,
  createRefresher,
  errorOf,
  leftBehind,
  openReader,
  register,
  runsOf,
  untilBlocked,
  untilNothingIsLeft,
} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {type RunningWorker, startWorker, stopWorkers} from '../support/worker.ts'

/** Above what the machine may take to notice something. */
const MARGIN_MS = 2000

/** Waits until no session waits for a lock on the view. */
const untilOutOfTheWay = (db: TestDatabase, view: string) =>
  until(
    async () =>
      (await db.query('select from pg_locks where not granted and relation = $1::regclass', [view]))
        .length === 0,
    {what: `nobody to wait for ${view}`, timeoutMs: PATIENCE_MS},
  )

describe('a refresh beside a reader that stays', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createRefreshDatabase()
  })

  test('keeps others from the view for no longer than a try, and gets through later', async () => {
    const {client: reader} = await openReader(db, 'leaderboard')
    const running = startAyb(['matviews', 'refresh', 'leaderboard', '--json'], {
      url: db.url,
      timeoutMs: 60_000,
    })
    await untilBlocked(db, 'leaderboard')
    const startedAt = performance.now()
    const [row] = await db.query('select count(*)::int from leaderboard')
    const stalledMs = performance.now() - startedAt
    expect(row).toEqual({count: 50})
    expect(stalledMs).toBeLessThan(2000 + MARGIN_MS)
    await reader.query('commit')
    const result = await running.done
    expect(result.code).toBe(0)
    const document = result.json() as {durationMs: number; lockWaitMs: number}
    expect(document.lockWaitMs).toBeGreaterThanOrEqual(2000)
    expect(document.durationMs).toBeLessThan(2000)
    const runs = await runsOf(db, 'leaderboard')
    expect(runs).toMatchObject([
      {status: 'success', lock_wait_ms: document.lockWaitMs, duration_ms: document.durationMs},
    ])
    await untilNothingIsLeft(db, 2000)
  })

  test('waits as Postgres does with --lock-timeout 0', async () => {
    const {client: reader} = await openReader(db, 'leaderboard')
    const running = startAyb(['matviews', 'refresh', 'leaderboard', '--lock-timeout', '0', '--json'], {
      url: db.url,
    })
    await untilBlocked(db, 'leaderboard', 3000)
    await reader.query('commit')
    expect((await running.done).json()).toMatchObject({lockWaitMs: 0})
    expect((await runsOf(db, 'leaderboard'))[0]?.duration_ms).toBeGreaterThanOrEqual(3000)
  })

  test('gives the lock under which views are refreshed up between two tries, and is one run where another session takes it', async () => {
    const {client: reader} = await openReader(db, 'leaderboard')
    const other = await db.connect()
    const before = (await runsOf(db, 'leaderboard')).length
    const args = ['--lock-timeout', '1500ms', '--lock-retry-for', '60s', '--json']
    const running = startAyb(['matviews', 'refresh', 'leaderboard', ...args], {url: db.url})
    await untilBlocked(db, 'leaderboard')
    await other.query(`select pg_advisory_lock(hashtext('public.leaderboard'))`)
    const result = await running.done
    await other.end()
    await reader.query('commit')
    expect(errorOf(result)).toMatchObject({code: 'REFRESH_IN_PROGRESS'})
    const runs = await runsOf(db, 'leaderboard')
    expect(runs.length).toBe(before + 1)
    expect(runs[0]).toMatchObject({status: 'error', error: errorOf(result).message})
    expect(runs[0]?.lock_wait_ms).toBeGreaterThanOrEqual(1500)
  })

  test('is tried again by a role that may have one connection alone, so that nobody can look meanwhile', async () => {
    const role = await createRefresher(db, 'single')
    await db.query(`alter role ${role.name} connection limit 1;
      create materialized view lonely as select 1 as id;
      alter materialized view lonely owner to ${role.name}`)
    await register(db, 'lonely')
    const {client: reader} = await openReader(db, 'lonely')
    const args = ['--lock-timeout', '300ms', '--lock-retry-for', '2s', '--json']
    const result = await ayb(['matviews', 'refresh', 'lonely', ...args], {url: role.url})
    await reader.query('commit')
    const error = errorOf(result)
    expect(error).toMatchObject({
      code: 'TIMEOUT',
      details: {relation: 'public.lonely', blockers: [{applicationName: 'nightly report'}]},
    })
    expect(error.details?.tries).toBeGreaterThan(1)
  })

  test('that is canceled in a pause is one canceled run', async () => {
    const {client: reader} = await openReader(db, 'leaderboard')
    const before = (await runsOf(db, 'leaderboard')).length
    const args = ['--lock-timeout', '4s', '--lock-retry-for', '60s', '--json']
    const running = startAyb(['matviews', 'refresh', 'leaderboard', ...args], {url: db.url})
    await untilBlocked(db, 'leaderboard')
    await untilOutOfTheWay(db, 'leaderboard')
    running.kill('SIGINT')
    expect((await running.done).code).toBe(130)
    await reader.query('commit')
    const runs = await runsOf(db, 'leaderboard')
    expect(runs.length).toBe(before + 1)
    expect(runs[0]).toMatchObject({status: 'canceled'})
    expect(runs[0]?.lock_wait_ms).toBeGreaterThanOrEqual(4000)
    expect(await leftBehind(db)).toEqual([])
  })
})

describe('a job beside a reader that stays', () => {
  let db: TestDatabase
  const workers: RunningWorker[] = []

  beforeAll(async () => {
    db = await createTestDatabase({hasTables: true})
  })

  afterEach(async () => {
    await stopWorkers(workers.splice(0))
  })

  const TRIES = ['--concurrency', '1', '--lock-timeout', '1500ms', '--poll-interval', '500ms']

  async function start(...args: string[]): Promise<RunningWorker> {
    const worker = await startWorker(db, [...TRIES, ...args])
    workers.push(worker)
    return worker
  }

  test('lets others have its slot, uses no attempt, and says whom it waits for', async () => {
    await db.query('create materialized view busy as select 1 as id')
    await register(db, 'busy')
    const {client: reader} = await openReader(db, 'busy')
    const id = await insertJob(db, {view_name: 'busy'})
    const worker = await start('--lock-retry-for', '5m')
    const line = await worker.waitForLog(
      ({msg}) => msg.startsWith('waiting for'),
      'a word on whom it waits for',
    )
    expect(line).toMatchObject({
      level: 'info',
      msg: expect.stringMatching(/^waiting for pid \d+ \(nightly report\) for \d+ s:/),
    })
    await untilJob(db, id, ({state}) => state === 'queued', 'put back')
    const other = await insertJob(db, {view_name: 'leaderboard'})
    await untilState(db, other, 'completed')
    expect((await jobOf(db, id)).state).not.toBe('completed')
    await reader.query('commit')
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 1, last_error: null})
    expect(await runsOfJob(db, id)).toMatchObject([{status: 'success'}])
    expect((await runsOf(db, 'busy'))[0]?.lock_wait_ms).toBeGreaterThanOrEqual(1500)
  }, 90_000)

  test('has one patience, whichever worker tries', async () => {
    await db.query('create materialized view shared as select 1 as id')
    await register(db, 'shared')
    const {client: reader} = await openReader(db, 'shared')
    const id = await insertJob(db, {view_name: 'shared'}, {max_attempts: 1})
    const first = await start('--lock-retry-for', '5m')
    await untilTries(1)
    await stopWorkers([first])
    await start('--lock-retry-for', '4s')
    const failed = await untilState(db, id, 'failed')
    await reader.query('commit')
    expect(failed.last_error).toMatch(
      /^lock timeout: the refresh of public\.shared tried [2-9] times in .* to get a lock on public\.shared, held by pid/,
    )
    const runs = await runsOf(db, 'shared')
    expect(runs).toMatchObject([{status: 'error'}])
    expect(runs[0]?.lock_wait_ms).toBeGreaterThanOrEqual(3000)

    async function untilTries(count: number): Promise<void> {
      await until(
        async () => {
          const [row] = await db.query<{lock_tries: number}>(
            'select lock_tries from _ayb_matview_states where lock_job_id = $1',
            [id],
          )
          return row && row.lock_tries >= count
        },
        {what: `${count} tries`, timeoutMs: PATIENCE_MS},
      )
    }
  }, 90_000)

  /** A worker of that role counts its tries at a view that a reader holds. */
  async function expectCounted(bare: TestDatabase, role: {url: string}, view: string): Promise<void> {
    await register(bare, view)
    const {client: reader} = await openReader(bare, view)
    const id = await insertJob(bare, {view_name: view}, {max_attempts: 1})
    workers.push(await startWorker(role, [...TRIES, '--lock-retry-for', '4s']))
    const failed = await untilState(bare, id, 'failed')
    await reader.query('commit')
    expect(failed.last_error).toMatch(/tried [2-9] times in .* to get a lock on public\.\w+, held by pid/)
  }

  test('is counted by each worker where the table of view states is not there', async () => {
    const bare = await createTestDatabase({hasTables: true})
    const role = await createRefresher(bare, 'lone')
    await bare.query(`drop table _ayb_matview_states;
      alter table _ayb_matview_refresh_runs drop column lock_wait_ms;
      delete from _ayb_cli_migrations where version = 3;
      revoke create on schema public from public;
      create materialized view lone as select 1 as id;
      alter materialized view lone owner to ${role.name}`)
    await expectCounted(bare, role, 'lone')
  }, 90_000)

  test('is counted by each worker whose role may not use the table of view states', async () => {
    const bare = await createTestDatabase({hasTables: true})
    const role = await createRefresher(bare, 'poor')
    await bare.query(`revoke all on _ayb_matview_states from ${role.name};
      create materialized view poor as select 1 as id;
      alter materialized view poor owner to ${role.name}`)
    await expectCounted(bare, role, 'poor')
  }, 90_000)

  test('is done by a worker that runs once, which waits out the pauses', async () => {
    const own = await createTestDatabase({hasTables: true})
    await register(own, 'leaderboard')
    const {client: reader} = await openReader(own, 'leaderboard')
    const id = await insertJob(own, {view_name: 'leaderboard'})
    const args = ['--once', '--json', '--lock-timeout', '500ms', '--lock-retry-for', '1m']
    const running = startAyb(['worker', ...args], {url: own.url, timeoutMs: 60_000})
    await until(
      async () => {
        const [row] = await own.query('select from _ayb_matview_states where lock_job_id = $1', [id])
        return row !== undefined
      },
      {what: 'a first try', timeoutMs: PATIENCE_MS},
    )
    await reader.query('commit')
    const result = await running.done
    expect(result.code).toBe(0)
    expect(result.json()).toMatchObject({succeeded: 1, remaining: []})
    expect(await jobOf(own, id)).toMatchObject({state: 'completed', attempts: 1})
  }, 90_000)

  test('is left by a worker that runs once at the end of its patience, which says so', async () => {
    const own = await createTestDatabase({hasTables: true})
    await register(own, 'leaderboard')
    const {client: reader} = await openReader(own, 'leaderboard')
    const id = await insertJob(own, {view_name: 'leaderboard'})
    const args = ['--once', '--json', '--lock-timeout', '500ms', '--lock-retry-for', '2s']
    const result = await ayb(['worker', ...args], {url: own.url, timeoutMs: 60_000})
    await reader.query('commit')
    expect(result.code).toBe(1)
    expect(result.json()).toMatchObject({
      succeeded: 0,
      retried: 1,
      remaining: [
        {jobId: id, reason: expect.stringMatching(/^lock timeout: .* held by pid \d+ \(nightly report/)},
      ],
    })
  }, 90_000)
})

test('a job that waits for a table below its view is tried again as its next attempt', async () => {
  const db = await createTestDatabase({hasTables: true})
  await db.query('create table base (id int); create materialized view over_base as select id from base')
  await register(db, 'over_base')
  const loader = await db.connect()
  await loader.query(`set application_name = 'nightly load'; begin; lock table base`)
  const id = await insertJob(db, {view_name: 'over_base'})
  const worker = await startWorker(db)
  const retried = await untilJob(db, id, ({last_error}) => last_error !== null, 'a failed attempt')
  expect(retried).toMatchObject({state: 'queued', attempts: 1})
  expect(retried.last_error).toMatch(
    /^lock timeout: the refresh of public\.over_base waited 2\.0 s for a lock on public\.base, held by pid \d+ \(nightly load, /,
  )
  await loader.query('commit')
  expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
  await stopWorkers([worker])
}, 90_000)

describe('a prepared transaction', () => {
  let server: PostgresServer

  beforeAll(async () => {
    server = await startPostgres({settings: {max_prepared_transactions: '2'}})
  })

  afterAll(async () => {
    await server.stop()
  })

  test('that holds the view is named by its gid', async () => {
    const url = server.url()
    const client = new pg.Client({connectionString: url})
    await client.connect()
    const sql = (statement: string) => client.query(statement)
    await sql('create materialized view held as select 1 as id')
    await ayb(['matviews', 'register', 'held'], {url})
    await sql('begin')
    await sql('select from held')
    await sql(`prepare transaction 'two phases'`)
    const result = await ayb(['matviews', 'refresh', 'held', '--lock-timeout', '2s', '--json'], {url})
    await sql(`rollback prepared 'two phases'`)
    await client.end()
    expect(errorOf(result)).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(
        /waited 2\.0 s for a lock on public\.held, held by pid 0 \(prepared transaction "two phases", user .*, in a transaction for /,
      ),
      details: {blockers: [{pid: 0}]},
    })
  })
})
