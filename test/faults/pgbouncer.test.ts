import pg from 'pg'
import {describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob, untilJob, untilState} from '../support/jobs.ts'
import {type PgBouncer, startPgBouncer} from '../support/pgbouncer.ts'
import {
  createGatedView,
  type ErrorDocument,
  register,
  registrationOf,
  runsOf,
  untilRefreshing,
} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {startServer, stopServers} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, startWorker, stopWorkers} from '../support/worker.ts'

const MODES = ['transaction', 'session'] as const

async function start(poolMode: 'transaction' | 'session', poolSize?: number) {
  const db = await createTestDatabase({hasTables: true})
  const pooler = await startPgBouncer(db, {poolMode, ...(poolSize === undefined ? {} : {poolSize})})
  // What stands between them is a pooler, in that mode.
  const pools = await pooler.console('show databases')
  expect(pools.find(({name}) => name === db.name)).toMatchObject({port: db.port})
  return {db, pooler}
}

const advisoryLocks = (db: TestDatabase) =>
  db.query(
    `select pid from pg_locks where locktype = 'advisory' and objsubid = 1
        and database = (select oid from pg_database where datname = current_database())`,
  )

/** What is set on a server connection that the pooler hands out, as somebody else would find it. */
async function settingsThrough(pooler: PgBouncer): Promise<string[]> {
  const client = new pg.Client({connectionString: pooler.url})
  await client.connect()
  const {rows} = await client.query<{value: string}>(
    `select current_setting(name) as value
       from unnest(array['search_path', 'default_transaction_isolation', 'client_connection_check_interval', 'jit',
                         'work_mem']) name`,
  )
  await client.end()
  return rows.map(({value}) => value)
}

describe.concurrent.each(MODES)('through PgBouncer in %s mode', {timeout: 120_000}, (mode) => {
  test('a view is refreshed where a look for changes is refused', async () => {
    const {db, pooler} = await start(mode)
    await register(db, 'leaderboard')
    // An older ayb has made the table again.
    await db.query('alter table _ayb_matview_states drop column fingerprint')
    const args = ['matviews', 'refresh', 'leaderboard', '--if-changed', '--json']
    expect((await ayb(args, {url: pooler.url})).json()).toMatchObject({status: 'success'})
  })

  test('views are registered, refreshed in both modes, and looked at', async () => {
    const {db, pooler} = await start(mode)
    const before = await settingsThrough(pooler)
    const options = {url: pooler.url, env: {DEBUG: 'ayb*'}}
    const registered = await ayb(['matviews', 'register', 'leaderboard'], options)
    expect(registered).toMatchObject({code: 0})
    expect(registered.stderr).toContain('connected through a pooler')
    await db.query('create unique index on leaderboard (id)')
    for (const refreshMode of ['standard', 'concurrent']) {
      const result = await ayb(['matviews', 'refresh', 'leaderboard', '--mode', refreshMode], options)
      expect(result).toMatchObject({code: 0})
    }
    expect((await runsOf(db, 'leaderboard')).map((run) => [run.refresh_mode, run.status])).toEqual([
      ['concurrent', 'success'],
      ['standard', 'success'],
    ])
    for (const args of [
      ['matviews', 'list'],
      ['matviews', 'show', 'leaderboard'],
      ['matviews', 'discover'],
      ['matviews', 'history', 'leaderboard'],
      ['schedules', 'create', '--name', 'hourly', '--cron', '@hourly', '--view', 'leaderboard'],
      ['schedules', 'disable', 'hourly'],
      ['schedules', 'run', 'hourly'],
      ['jobs', 'stats'],
      ['matviews', 'unregister', 'leaderboard'],
    ]) {
      expect(await ayb([...args, '--json'], {url: pooler.url}), args.join(' ')).toMatchObject({
        code: 0,
        stderr: '',
      })
    }
    expect(await advisoryLocks(db)).toEqual([])
    expect(await settingsThrough(pooler)).toEqual(before)
  })

  test('settings hold for a refresh, and for nobody who gets the server connection later', async () => {
    const {db, pooler} = await start(mode, 1)
    const before = await settingsThrough(pooler)
    await db.query(`create materialized view probe as select current_setting('work_mem') as work_mem`)
    await register(db, 'probe')
    const refresh = (...args: string[]) => ayb(['matviews', 'refresh', 'probe', ...args], {url: pooler.url})
    expect(await refresh('--set', 'work_mem=99MB')).toMatchObject({code: 0})
    expect(await db.query('select * from probe')).toEqual([{work_mem: '99MB'}])
    expect(await refresh('--set', 'work_mem=lots')).toMatchObject({code: 2})
    const own = ['matviews', 'update', 'probe', '--set', 'work_mem=88MB']
    expect(await ayb(own, {url: pooler.url})).toMatchObject({code: 0})
    await db.query(`update _ayb_matview_policies set settings = settings || '{"temp_tablespaces": "gone"}'`)
    const refreshed = await refresh()
    expect(refreshed).toMatchObject({code: 0})
    expect(refreshed.stderr).toContain('ran without temp_tablespaces = "gone"')
    expect(await db.query('select * from probe')).toEqual([{work_mem: '88MB'}])
    expect(await settingsThrough(pooler)).toEqual(before)
  })

  test('the settings of a view hold for a worker, a set and a request over HTTP, and for nobody else', async () => {
    const {db, pooler} = await start(mode, mode === 'transaction' ? 2 : undefined)
    const before = await settingsThrough(pooler)
    for (const name of ['own', 'other']) {
      await db.query(`create materialized view ${name} as
        select current_setting('work_mem') as work_mem, current_setting('jit') as jit`)
      await register(db, name)
    }
    const set = ['matviews', 'update', 'own', '--set', 'work_mem=77MB', '--set', 'jit=off']
    expect(await ayb(set, {url: pooler.url})).toMatchObject({code: 0})
    const [untouched] = await db.query('select * from other')
    const ways: [string, () => Promise<{code: number | null}>][] = [
      ['a command', () => ayb(['matviews', 'refresh', 'own'], {url: pooler.url})],
      ['a set', () => ayb(['matviews', 'refresh', 'own', 'other'], {url: pooler.url})],
      [
        'a worker',
        async () => {
          for (const name of ['own', 'other']) await insertJob(db, {view_name: name})
          return ayb(['worker', '--once'], {url: pooler.url})
        },
      ],
      [
        'HTTP',
        async () => {
          const server = await startServer({url: pooler.url})
          const answer = await server.post('/api/admin/matviews/own/refresh')
          await stopServers([server])
          return {code: answer.status === 200 ? 0 : answer.status}
        },
      ],
    ]
    for (const [way, refresh] of ways) {
      await db.query('refresh materialized view own')
      expect(await db.query('select * from own'), way).toEqual([untouched])
      expect(await refresh(), way).toMatchObject({code: 0})
      expect(await db.query('select * from own'), way).toEqual([{work_mem: '77MB', jit: 'off'}])
      expect((await runsOf(db, 'own'))[0], way).toMatchObject({
        status: 'success',
        settings: {work_mem: '77MB', jit: 'off'},
      })
      expect(await db.query('select * from other'), way).toEqual([untouched])
      expect(await settingsThrough(pooler), way).toEqual(before)
    }
  })

  test('a refresh and one past the pooler exclude each other', async () => {
    const {db, pooler} = await start(mode)
    const gate = await createGatedView(db, 'gated')
    for (const [first, second] of [
      [pooler.url, db.url],
      [db.url, pooler.url],
    ] as const) {
      await gate.close()
      const running = startAyb(['matviews', 'refresh', 'gated'], {url: first})
      await untilRefreshing(db, 'gated')
      const refused = await ayb(['matviews', 'refresh', 'gated', '--json'], {url: second})
      expect(refused.code).toBe(5)
      expect((refused.json() as {error: ErrorDocument}).error.code).toBe('REFRESH_IN_PROGRESS')
      await gate.open()
      expect(await running.done).toMatchObject({code: 0})
    }
    expect(await advisoryLocks(db)).toEqual([])
  })

  test('SIGINT cancels its refresh and no other, and SIGKILL leaves no lock', async () => {
    const {db, pooler} = await start(mode)
    const [mine, other] = [await createGatedView(db, 'mine'), await createGatedView(db, 'other')]
    await mine.close()
    await other.close()
    const [canceled, running] = [
      startAyb(['matviews', 'refresh', 'mine'], {url: pooler.url}),
      startAyb(['matviews', 'refresh', 'other'], {url: pooler.url}),
    ]
    await untilRefreshing(db, 'mine')
    await untilRefreshing(db, 'other')
    canceled.kill('SIGINT')
    expect(await canceled.done).toMatchObject({code: 130})
    expect(await registrationOf(db, 'mine')).toMatchObject({last_refresh_status: null})
    expect(await runsOf(db, 'mine')).toMatchObject([{status: 'canceled'}])
    await other.open()
    expect(await running.done).toMatchObject({code: 0})

    const killed = startAyb(['matviews', 'refresh', 'mine'], {url: pooler.url})
    const backend = await untilRefreshing(db, 'mine')
    killed.kill('SIGKILL')
    expect(await killed.done).toMatchObject({signal: 'SIGKILL'})
    await until(async () => !(await advisoryLocks(db)).some(({pid}) => pid === backend), {
      what: 'the lock to be free',
      timeoutMs: PATIENCE_MS,
    })
    await mine.open()
  })

  test('a lock timeout names who was in the way', async () => {
    const {db, pooler} = await start(mode)
    await register(db, 'leaderboard')
    const reader = await db.connect()
    await reader.query('begin')
    const {rows} = await reader.query('select pg_backend_pid() as pid from leaderboard limit 1')
    const result = await ayb(['matviews', 'refresh', 'leaderboard', '--lock-timeout', '1s', '--json'], {
      url: pooler.url,
    })
    await reader.query('rollback')
    expect(result.code).toBe(8)
    expect((result.json() as {error: ErrorDocument}).error).toMatchObject({
      code: 'TIMEOUT',
      details: {blockers: [{pid: rows[0].pid}]},
    })
  })

  test('a worker runs what is due, says that it polls, and leaves nothing behind', async () => {
    const {db, pooler} = await start(mode)
    const before = await settingsThrough(pooler)
    const worker = await startWorker({url: pooler.url}, ['--poll-interval', '500ms', '--concurrency', '2'])
    await worker.waitForLog(
      ({msg}) => msg.startsWith('connected through a pooler: the worker looks for jobs every 500 ms'),
      'the worker to say so',
    )
    await insertSchedule(db, 'due', {view: 'leaderboard', nextRunAt: "now() + interval '1 s'"})
    await until(async () => (await runsOf(db, 'leaderboard')).length > 0, {
      what: 'the scheduled refresh',
      timeoutMs: PATIENCE_MS,
    })
    expect(await runsOf(db, 'leaderboard')).toMatchObject([
      {status: 'success', trigger: 'schedule', worker_id: expect.stringMatching(/^ayb:pooled-[0-9a-f]{16}:/)},
    ])
    const ids = await Promise.all(Array.from({length: 20}, () => insertJob(db, {view_name: 'leaderboard'})))
    for (const id of ids) await untilState(db, id, 'completed')
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
    expect(await advisoryLocks(db)).toEqual([])
    expect(await settingsThrough(pooler)).toEqual(before)
  })

  test('the job of a worker that is killed is left to it while its lease lasts, and run again after it', async () => {
    const {db, pooler} = await start(mode)
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const id = await insertJob(db, {view_name: 'slow'})
    const lease = ['--lease-duration', '5s', '--poll-interval', '500ms']
    const worker = await startWorker({url: pooler.url}, lease)
    const backend = await untilRefreshing(db, 'slow')
    // One that is not behind the pooler finds no key held, and leaves the job alone all the same.
    const direct = await startWorker(db, lease)
    const passed = await insertJob(db, {view_name: 'leaderboard'})
    await untilState(db, passed, 'completed')
    expect(await jobOf(db, id)).toMatchObject({state: 'running', attempts: 1})
    worker.kill('SIGKILL')
    expect(await worker.done).toMatchObject({signal: 'SIGKILL'})
    // The pooler hangs up on the server, which notices within a second.
    await until(async () => !(await advisoryLocks(db)).some(({pid}) => pid === backend), {
      what: 'the refresh to end',
      timeoutMs: PATIENCE_MS,
    })
    await gate.open()
    await untilJob(db, id, ({state, attempts}) => state === 'completed' && attempts === 2, 'run again')
    expect((await runsOfJob(db, id)).map(({status}) => status)).toEqual(['error', 'success'])
    await stopWorkers([direct])
    expect(await advisoryLocks(db)).toEqual([])
  })
})

describe.concurrent('AYB_POOLED', () => {
  test('overrules what is seen, and takes nothing but on and off', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const refresh = (AYB_POOLED: string) =>
      ayb(['matviews', 'refresh', 'leaderboard', '--json'], {url: db.url, env: {AYB_POOLED, DEBUG: 'ayb*'}})
    const [on, off, neither] = [await refresh('on'), await refresh('off'), await refresh('maybe')]
    expect(on).toMatchObject({code: 0, stderr: expect.stringContaining('connected through a pooler')})
    expect(off).toMatchObject({code: 0, stderr: ''})
    expect(neither.code).toBe(2)
    expect((neither.json() as {error: ErrorDocument}).error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'AYB_POOLED is neither on nor off: "maybe"',
    })
  })

  test('is not needed for a worker and commands to get along on a pool of one connection', async () => {
    const {db, pooler} = await start('transaction', 1)
    await register(db, 'leaderboard')
    const worker = await startWorker({url: pooler.url}, ['--concurrency', '1', '--poll-interval', '500ms'])
    const id = await insertJob(db, {view_name: 'leaderboard'})
    await untilState(db, id, 'completed')
    expect(await ayb(['matviews', 'refresh', 'leaderboard'], {url: pooler.url})).toMatchObject({code: 0})
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })
})
