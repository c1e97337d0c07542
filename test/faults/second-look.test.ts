import {describe, expect, test} from 'vitest'
import type {ViewStatus} from '../../src/lib/records/freshness.ts'
import type {Refreshed, RefreshedSet} from '../../src/lib/records/refreshes.ts'
import type {RegistrationDocument} from '../../src/lib/records/registrations.ts'
import type {ScheduleRun} from '../../src/lib/records/schedules.ts'
import type {WorkerResult} from '../../src/lib/records/workers.ts'
import {ayb} from '../support/ayb.ts'
import {createChain, skipChain, tellsChanges, unseen, write} from '../support/changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, INSTANT} from '../support/documents.ts'
import {jobOf, untilState} from '../support/jobs.ts'
import {runsOf} from '../support/refresh.ts'
import {createSchedule} from '../support/schedules.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const tells = await tellsChanges(await createTestDatabase({template: false}))

const run = <T>(db: TestDatabase, ...args: string[]) => documentOf<T>(['matviews', ...args], db)
const refreshed = (db: TestDatabase, ...args: string[]) => run<Refreshed>(db, 'refresh', ...args)
const statusesOf = ({refreshes}: RefreshedSet) =>
  Object.fromEntries(refreshes.map(({registration, status}) => [registration.viewName, status]))

describe.runIf(tells).concurrent('before a view counts as unchanged', {timeout: 90_000}, () => {
  test('one refresh looks again eleven seconds after its start: a change may show that late', async () => {
    const db = await createChain()
    await refreshed(db, 'sales', '--if-changed')
    const now = () => refreshed(db, 'sales', '--if-changed', '--no-second-look')
    const insertLate = await unseen(db, 'insert into orders values (4, 40)')
    expect(await now()).toMatchObject({status: 'unchanged'})
    await insertLate()
    const startedAt = performance.now()
    expect(await refreshed(db, 'sales', '--if-changed')).toMatchObject({status: 'success'})
    expect(performance.now() - startedAt).toBeGreaterThan(11_000)
    const writer = await db.connect()
    await writer.query('begin')
    await writer.query('insert into orders values (5, 50)')
    await writer.query('select pg_stat_force_next_flush()')
    await writer.query('commit')
    expect(await now()).toMatchObject({status: 'success'})
    expect(await refreshed(db, 'sales', '--if-changed')).toMatchObject({status: 'unchanged'})
  })

  test('a set waits once, and a chain whose root found no difference ends in milliseconds', async () => {
    const db = await createChain()
    await skipChain(db)
    const cascade = (...more: string[]) => run<RefreshedSet>(db, 'refresh', 'sales', '--cascade', ...more)
    const all = (status: string) => ({sales: status, days: status, weeks: status})
    expect(statusesOf(await cascade())).toEqual(all('success'))
    const second = await cascade()
    expect(statusesOf(second)).toEqual(all('unchanged'))
    expect(second.counts).toEqual({success: 0, unchanged: 3, error: 0, skipped: 0, canceled: 0})
    expect(second.refreshes[0]).toMatchObject({
      reason: expect.stringMatching(/^unchanged: nothing has changed since /),
      startedAt: null,
      durationMs: null,
    })
    // One second look for all of them.
    expect(second.durationMs).toBeGreaterThan(5000)
    expect(second.durationMs).toBeLessThan(20_000)

    await write(db, 'update orders set amount = amount')
    const third = await cascade()
    expect(statusesOf(third)).toEqual({sales: 'success', days: 'unchanged', weeks: 'unchanged'})
    expect(third.durationMs).toBeLessThan(10_000)
    const [status] = await documentOf<ViewStatus[]>(['matviews', 'status', 'weeks'], db)
    expect(status).toMatchObject({state: 'unwatched'})

    await write(db, 'update orders set amount = amount + 1')
    expect(statusesOf(await cascade())).toEqual(all('success'))
    expect(statusesOf(await cascade('--no-if-changed'))).toEqual(all('success'))
    expect(await refreshed(db, 'sales')).toMatchObject({status: 'success'})
    const text = await ayb(
      ['matviews', 'refresh', 'days', 'weeks', '--no-second-look', '--concurrency', '1'],
      {url: db.url},
    )
    expect(text.stdout).toMatch(/^public\.days\tunchanged\t\tunchanged: nothing has changed since \S+\t$/m)
    expect(await run<RegistrationDocument>(db, 'update', 'days', '--no-skip-unchanged')).toMatchObject({
      registration: {policy: null},
    })
  })

  test('a view that waits for its second look leaves its turn to others', async () => {
    const db = await createChain()
    await skipChain(db)
    await run(db, 'refresh', '--all')
    // The view that takes longest comes first.
    await db.query(`update _ayb_matview_refresh_runs set duration_ms = 60000 where view_name = 'sales'`)
    const startedAt = Date.now()
    const set = await run<RefreshedSet>(db, 'refresh', 'sales', 'clocks', '--concurrency', '1')
    expect(statusesOf(set)).toEqual({sales: 'unchanged', clocks: 'success'})
    expect(set.durationMs).toBeGreaterThan(5000)
    const clocks = set.refreshes.find(({registration}) => registration.viewName === 'clocks')
    expect(Date.parse(clocks?.startedAt ?? '') - startedAt).toBeLessThan(9000)
  })

  test('a view of a set waits where it reads a view that is not in the set', async () => {
    const db = await createChain()
    await skipChain(db)
    await run(db, 'refresh', '--all')
    const refreshLate = await unseen(db, 'refresh materialized view concurrently sales')
    await write(db, 'update orders set amount = amount + 1')
    await refreshLate()
    expect(statusesOf(await run<RefreshedSet>(db, 'refresh', 'days', 'weeks'))).toEqual({
      days: 'success',
      weeks: 'success',
    })
    const {id} = await createSchedule(db, 'nightly', {view: 'days', more: ['--cascade']})
    await write(db, 'update orders set amount = amount + 1')
    await refreshLate()
    await documentOf<ScheduleRun>(['schedules', 'run', id], db)
    const once = await ayb(['worker', '--once', '--json'], {url: db.url, timeoutMs: 60_000})
    expect(once.json()).toMatchObject({claimed: 2, succeeded: 2, unchanged: 0})
  })

  test('a job that somebody retries waits as a new one does', async () => {
    const db = await createChain()
    await skipChain(db)
    await run(db, 'refresh', '--all')
    const {id} = await createSchedule(db, 'nightly', {view: 'sales'})
    const {job} = await documentOf<ScheduleRun>(['schedules', 'run', id], db)
    await db.query(
      `update _ayb_jobs set state = 'failed', created_at = created_at - interval '1 h', run_at = run_at - interval '1 h'`,
    )
    const insertLate = await unseen(db, 'insert into orders values (9, 90)')
    await insertLate()
    await documentOf(['jobs', 'retry', job.id], db)
    const once = await ayb(['worker', '--once', '--json'], {url: db.url, timeoutMs: 60_000})
    expect(once.json()).toMatchObject({claimed: 1, succeeded: 1, unchanged: 0})
    expect(await db.query('select sum(amount)::int as n from sales')).toEqual([{n: 120}])
  })

  test('a worker puts the job back without an attempt, and --once waits for the job', async () => {
    const db = await createChain()
    await skipChain(db)
    const {id} = await createSchedule(db, 'nightly', {view: 'sales', more: ['--cascade']})
    const once = async () =>
      (await ayb(['worker', '--once', '--json'], {url: db.url, timeoutMs: 60_000})).json() as WorkerResult
    const start = () => documentOf<ScheduleRun>(['schedules', 'run', id], db)
    await start()
    expect(await once()).toMatchObject({claimed: 3, succeeded: 3, unchanged: 0, remaining: []})

    const worker = await startWorker(db, ['--poll-interval', '1s', '--listen', '127.0.0.1:0'])
    const [, base] = await worker.waitForOutput(/listening on (http:\/\/127\.0\.0\.1:\d+)/)
    const {job} = await start()
    await worker.waitForLog(({msg}) => msg.startsWith('looks unchanged'), 'the first look')
    expect(await jobOf(db, job.id)).toMatchObject({state: 'queued', attempts: 0, worker_id: null})
    await untilState(db, job.id, 'completed')
    const weeks = (line: {view?: string; msg: string}) =>
      line.view === 'public.weeks' && line.msg.startsWith('unchanged')
    const line = await worker.waitForLog(weeks, 'the end of the chain')
    expect(line).toMatchObject({level: 'info', unchangedSince: expect.stringMatching(INSTANT)})
    const looks = worker.logs().filter(({msg}) => msg.startsWith('looks unchanged'))
    expect(looks.map(({view}) => view)).toEqual(['public.sales'])
    const text = await (await fetch(`${base}/metrics`)).text()
    expect(text).toContain('ayb_refreshes_total{view="public.weeks",status="unchanged"} 1')
    await stopWorkers([worker])
    expect(await runsOf(db, 'weeks')).toHaveLength(1)

    await start()
    expect(await once()).toMatchObject({claimed: 3, succeeded: 0, unchanged: 3, remaining: []})
    await write(db, 'insert into orders values (7, 70)')
    await start()
    expect(await once()).toMatchObject({claimed: 3, succeeded: 3, unchanged: 0, remaining: []})
    expect(await db.query('select amount::int from weeks')).toEqual([{amount: 100}])
  })
})
