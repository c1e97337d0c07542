import {describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {errorOf, register} from '../support/refresh.ts'
import {createSchedule, insertSchedule} from '../support/schedules.ts'
import {openTerminal} from '../support/terminal.ts'
import {PATIENCE_MS} from '../support/until.ts'
import {type LogLine, startWorker, stopWorkers} from '../support/worker.ts'

describe.concurrent('the log of a worker', {timeout: 90_000}, () => {
  test('is one JSON object a line on a pipe', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const schedule = await insertSchedule(db, 'nightly one', {
      view: 'leaderboard',
      nextRunAt: "now() + interval '1 day'",
    })
    const id = await insertJob(db, {view_name: 'leaderboard'}, {schedule_id: schedule})
    const worker = await startWorker(db, [], {env: {DEBUG: undefined}})
    await untilState(db, id, 'completed')
    await worker.waitForLog(({msg}) => msg === 'refreshed', 'the refresh')
    await stopWorkers([worker])
    expect(worker.stderr()).toBe('')
    const [started, refreshed, stopping, stopped] = worker.logs()
    expect(Object.keys(started ?? {}).slice(0, 4)).toEqual(['time', 'level', 'msg', 'event'])
    expect(started).toMatchObject({
      level: 'info',
      msg: expect.stringMatching(
        /^worker started, 4 at a time, on PostgreSQL \d+\.\d+ at 127\.0\.0\.1:\d+\//,
      ),
      event: 'worker.started',
      workerId: expect.stringMatching(/^ayb:/),
      concurrency: 4,
    })
    expect(refreshed).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      level: 'info',
      msg: 'refreshed',
      event: 'refresh.succeeded',
      view: 'public.leaderboard',
      jobId: id,
      schedule: 'nightly one',
      scheduleId: schedule,
      attempt: 1,
      durationMs: expect.any(Number),
      workerId: started?.workerId,
    })
    // The slot may still hand its session back.
    expect(stopping).toMatchObject({msg: expect.stringMatching(/^SIGTERM: stopping, [01] still running$/)})
    expect(stopped).toMatchObject({msg: 'worker stopped', event: 'worker.stopped'})
    expect(worker.logs()).toHaveLength(4)
    expect(worker.stdout()).not.toContain(db.password)
  })

  test('is for people on a terminal, and as asked for anywhere', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const terminal = openTerminal(['worker'], {url: db.url, columns: 200})
    await terminal.waitFor(/worker started, 4 at a time/, PATIENCE_MS)
    await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    await terminal.waitFor(/refreshed public\.leaderboard in \d+ ms \S*event=refresh\.succeeded/, PATIENCE_MS)
    terminal.write('\x03')
    expect(await terminal.done).toMatchObject({
      code: 0,
      output: expect.stringMatching(/worker stopped \S*event=worker\.stopped\S*\r\n$/),
    })

    const json = openTerminal(['worker', '--log-format', 'json'], {url: db.url, columns: 500})
    await json.waitFor(/\{"time":"[^"]+","level":"info","msg":"worker started/, PATIENCE_MS)
    json.kill()
    await json.done

    const pretty = startAyb(['worker'], {url: db.url, env: {AYB_JOBS_LOG_FORMAT: 'pretty'}})
    await pretty.waitForOutput(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} info {2}worker started/,
      PATIENCE_MS,
    )
    pretty.kill()
    expect((await pretty.done).code).toBe(0)
  })

  test('names the schedule of each member of a set', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create materialized view above as select * from leaderboard')
    for (const view of ['leaderboard', 'above']) await register(db, view)
    const {id} = await createSchedule(db, 'nightly', {view: 'leaderboard', more: ['--cascade']})
    await documentOf(['schedules', 'run', 'nightly'], db)
    const {stderr} = await ayb(['worker', '--once'], db)
    const lines = stderr.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as LogLine]))
    const refreshed = lines.filter(({event}) => event === 'refresh.succeeded')
    expect(refreshed.map(({view, schedule, scheduleId}) => ({view, schedule, scheduleId}))).toEqual(
      ['public.leaderboard', 'public.above'].map((view) => ({view, schedule: 'nightly', scheduleId: id})),
    )
  })

  test('has lines of the level that was asked for, and of those above it', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const names = async (args: string[], env: Record<string, string>) => {
      await insertJob(db, {view_name: 'leaderboard'})
      await insertJob(db, {view_name: 'nowhere'})
      const {stderr} = await ayb(['worker', '--once', ...args], {url: db.url, env})
      const lines = stderr.split('\n').filter(Boolean)
      return lines.map((line) => (JSON.parse(line) as LogLine).event).toSorted()
    }
    const [atError, atDebug] = [
      await names(['--log-level', 'error'], {AYB_JOBS_LOG_LEVEL: 'debug'}),
      await names([], {AYB_JOBS_LOG_LEVEL: 'debug'}),
    ]
    expect(atError).toEqual(['refresh.failed'])
    expect(atDebug).toEqual(
      [
        'worker.started',
        'refresh.started',
        'refresh.succeeded',
        'refresh.failed',
        'worker.stopped',
      ].toSorted(),
    )
  })
})

describe.concurrent('settings of a worker', {timeout: 90_000}, () => {
  test('--json without --once is refused, and says what to do', async () => {
    const result = await ayb(['worker', '--json'])
    expect(result.code).toBe(2)
    expect(errorOf(result)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      hint: expect.stringContaining('--log-format json'),
    })
  })

  test.each([
    [{AYB_JOBS_ENABLED: 'false'}, 'AYB_JOBS_ENABLED is false'],
    [{AYB_JOBS_WORKER_CONCURRENCY: 'many'}, 'AYB_JOBS_WORKER_CONCURRENCY'],
    [{AYB_JOBS_WORKER_CONCURRENCY: '0'}, 'AYB_JOBS_WORKER_CONCURRENCY'],
    [{AYB_JOBS_POLL_INTERVAL_MS: '5s'}, 'AYB_JOBS_POLL_INTERVAL_MS'],
    [{AYB_JOBS_LEASE_DURATION_S: '-1'}, 'AYB_JOBS_LEASE_DURATION_S'],
    [{AYB_JOBS_RETENTION: 'long'}, 'AYB_JOBS_RETENTION'],
  ] as const)('%j is refused, naming the variable', async (env, message) => {
    const result = await ayb(['worker'], {env})
    expect(result).toMatchObject({code: 2, stdout: '', stderr: expect.stringContaining(`Error: ${message}`)})
  })

  test.each([
    [['--concurrency', '0'], '--concurrency'],
    [['--poll-interval', '5'], '"5" is not a duration'],
    [['--lease-duration', '10ms'], '--lease-duration'],
    [['--log-format', 'xml'], 'xml'],
    [['--log-level', 'loud'], 'loud'],
    [['--listen', '9187'], '--listen'],
    [['stray'], 'stray'],
  ])('%j is refused', async (args, message) => {
    const result = await ayb(['worker', ...args])
    expect(result).toMatchObject({code: 2, stdout: '', stderr: expect.stringContaining(message)})
  })

  test('come from the environment, and flags beat it', async () => {
    const db = await createTestDatabase({hasTables: true})
    const env = {AYB_JOBS_WORKER_CONCURRENCY: '7', AYB_JOBS_ENABLED: 'true'}
    const both = [await startWorker(db, [], {env}), await startWorker(db, ['--concurrency', '2'], {env})]
    expect(both.map((worker) => worker.logs()[0]?.concurrency)).toEqual([7, 2])
    await stopWorkers(both)
  })

  test('a database that cannot be reached at the start ends it', async () => {
    const result = await ayb(['worker'], {url: 'postgres://nobody@127.0.0.1:1/nothing'})
    expect(result).toMatchObject({code: 6, stdout: ''})
    expect(result.stderr).toContain('127.0.0.1')
  })
})
