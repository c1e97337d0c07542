import {describe, expect, test} from 'vitest'
import type {ScheduleDocument, ScheduleRun} from '../../src/lib/records/schedules.ts'
import type {LiveWorker} from '../../src/lib/records/workers.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, INSTANT, keysOf} from '../support/documents.ts'
import {insertJob} from '../support/jobs.ts'
import {createGatedView} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const workersOf = (db: {url: string}) => documentOf<LiveWorker[]>(['worker', 'list'], db)
const ABSENT = 'no worker is alive, so schedules wait; start a worker with: ayb worker'

/** A row as a worker would have left it behind; times are SQL. */
const leave = (db: TestDatabase, id: string, {seen = 'now()', isPooled = false} = {}) =>
  db.query(
    `insert into _ayb_workers (id, host, pid, version, slots, poll_interval_ms, is_pooled, started_at, last_seen_at)
     values ($1, 'elsewhere', 7, '1.2.3', 2, 5000, $2, '2026-01-01', ${seen})`,
    [id, isPooled],
  )

describe.concurrent('ayb worker list', {timeout: 90_000}, () => {
  test('tells who is alive and what they refresh, until they are gone', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    await leave(db, 'ayb:00000000deadbeef:elsewhere:7', {seen: `now() - interval '1 hour'`})
    const worker = await startWorker(db, ['--concurrency', '2'])
    const jobId = await insertJob(db, {view_name: 'slow'})
    const [listed] = await until(
      async () => {
        const workers = await workersOf(db)
        return workers.some(({busy}) => busy > 0) && workers
      },
      {what: 'the worker to refresh', timeoutMs: PATIENCE_MS},
    )
    expect(listed).toEqual({
      id: worker.logs()[0]?.workerId,
      host: expect.any(String),
      pid: worker.pid,
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      startedAt: expect.stringMatching(INSTANT),
      lastSeenAt: expect.stringMatching(INSTANT),
      slots: 2,
      busy: 1,
      pooled: false,
      refreshes: [{schemaName: 'public', viewName: 'slow', jobId, startedAt: expect.stringMatching(INSTANT)}],
    })
    expect(keysOf(listed).at(-1)).toBe('refreshes')
    const {stdout} = await ayb(['worker', 'list'], db)
    expect(stdout.split('\t').slice(5, 7)).toEqual(['1/2', 'public.slow'])
    // The worker has cleared away the row of the dead one.
    expect(await db.query('select pid from _ayb_workers')).toEqual([{pid: worker.pid}])
    await gate.open()
    await stopWorkers([worker])
    expect(await workersOf(db)).toEqual([])
    expect(await db.query('select from _ayb_workers')).toEqual([])
  })

  test('leaves out workers that are dead or silent, and trusts those behind a pooler for a while', async () => {
    const db = await createTestDatabase({hasTables: true})
    await leave(db, 'ayb:00000001deadbeef:elsewhere:7')
    await leave(db, 'ayb:pooled-00000002deadbeef:elsewhere:7', {isPooled: true})
    await leave(db, 'ayb:pooled-00000003deadbeef:elsewhere:7', {
      isPooled: true,
      seen: `now() - interval '71 s'`,
    })
    await leave(db, 'ayb:pooled-00000004deadbeef:elsewhere:7', {isPooled: true, seen: `'infinity'`})
    await leave(db, 'ayb:00000005deadbeef:elsewhere:7', {seen: `now() - interval '71 s'`})
    await leave(db, 'ayb:00000006deadbeef:elsewhere:7')
    const session = await db.connect()
    await session.query(
      `select pg_advisory_lock_shared(('x' || k)::bit(64)::bigint) from unnest('{00000005deadbeef,00000006deadbeef}'::text[]) k`,
    )
    expect((await workersOf(db)).map(({id}) => id)).toEqual([
      'ayb:00000006deadbeef:elsewhere:7',
      'ayb:pooled-00000002deadbeef:elsewhere:7',
    ])
    await session.end()
    expect((await workersOf(db)).map(({pooled}) => pooled)).toEqual([true])
  })

  test('is empty before there are tables, and takes no argument', async () => {
    const db = await createTestDatabase()
    expect(await workersOf(db)).toEqual([])
    expect(await ayb(['worker', 'liszt'], db)).toMatchObject({code: 2})
  })
})

describe.concurrent('schedules', {timeout: 90_000}, () => {
  test('warn that no worker is alive, and of none that is', async () => {
    const db = await createTestDatabase({hasTables: true})
    const create = (name: string, ...more: string[]) =>
      documentOf<ScheduleDocument>(
        [...['schedules', 'create', '--name', name, '--cron', '0 3 * * *', '--view', 'leaderboard'], ...more],
        db,
      )
    const run = () => documentOf<ScheduleRun>(['schedules', 'run', 'nightly'], db)
    expect((await create('nightly')).warnings).toEqual([ABSENT])
    expect((await create('later', '--no-enabled')).warnings).toEqual([])
    expect((await run()).warnings).toEqual([ABSENT])
    const worker = await startWorker(db)
    await until(async () => (await workersOf(db)).length === 1, {what: 'the worker', timeoutMs: PATIENCE_MS})
    expect((await run()).warnings).toEqual([])
    // An older version holds its key, and has no row.
    await db.query('drop table _ayb_workers')
    expect((await run()).warnings).toEqual([])
    await stopWorkers([worker])
    expect((await run()).warnings).toEqual([ABSENT])
  })
})
