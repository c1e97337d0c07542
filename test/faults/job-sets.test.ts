import {describe, expect, test} from 'vitest'
import type {Job, JobDocument, JobStats} from '../../src/lib/records/jobs.ts'
import type {Schedule, ScheduleRun} from '../../src/lib/records/schedules.ts'
import type {WorkerResult} from '../../src/lib/records/workers.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {createGatedSet, untilMembers} from '../support/job-sets.ts'
import {untilRefreshing} from '../support/refresh.ts'
import {createSchedule, insertSchedule} from '../support/schedules.ts'
import {until} from '../support/until.ts'
import {createViewSet} from '../support/view-sets.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

/** A chain with a side view, and a schedule of it that is not due. */
async function createChain(scope: 'cascade' | 'dependencies' | 'both', view: string) {
  const db = await createTestDatabase({hasTables: true})
  const views = await createViewSet(db, ['a > b > c', 'a > d'])
  const flags = {
    cascade: ['--cascade'],
    dependencies: ['--with-dependencies'],
    both: ['--cascade', '--with-dependencies'],
  }[scope]
  await createNightly(db, view, flags)
  return {db, views}
}

/** The schedule `nightly`, which is not due. */
const createNightly = (db: TestDatabase, view: string, more = ['--cascade']) =>
  createSchedule(db, 'nightly', {cron: '0 3 1 1 *', view, more})

const run = (db: TestDatabase) => documentOf<ScheduleRun>(['schedules', 'run', 'nightly'], db)

const viewOf = ({payload}: Job) => (payload as {view_name: string}).view_name

const statesOf = (jobs: readonly Job[]) =>
  Object.fromEntries(jobs.map((job) => [viewOf(job), job.state] as const))

const listJobs = (db: TestDatabase, ...flags: string[]) =>
  documentOf<Job[]>(['jobs', 'list', '--limit', '1000', ...flags], db)

/** Waits for states by the tables themselves: a command takes longer than a state may last. */
const untilStates = async (db: TestDatabase, expected: Record<string, string>) =>
  until(
    async () => {
      const rows = await db.query<{view: string; state: string}>(
        `select payload->>'view_name' as view, state from _ayb_jobs union all
         select view_name, 'waiting' from _ayb_job_edges where released_at is null and ended_at is null`,
      )
      const states = Object.fromEntries(rows.map(({view, state}) => [view, state]))
      return Object.entries(expected).every(([view, state]) => states[view] === state)
    },
    {what: `the states ${JSON.stringify(expected)}`, timeoutMs: 60_000},
  )

const runsOf = (db: TestDatabase) =>
  db.query<{view_name: string}>(
    `select view_name from _ayb_matview_refresh_runs where status = 'success' order by started_at`,
  )

const workOnce = async (db: TestDatabase) => {
  const result = await ayb(['worker', '--once', '--json'], {url: db.url, timeoutMs: 60_000})
  return {code: result.code, ...(result.json() as WorkerResult)}
}

describe.concurrent('a schedule of several views', {timeout: 120_000}, () => {
  test('shows its scope, which update changes', async () => {
    const {db} = await createChain('cascade', 'a')
    const show = async () =>
      (await documentOf<{schedule: Schedule}>(['schedules', 'show', 'nightly'], db)).schedule
    expect(await show()).toMatchObject({
      scope: 'cascade',
      payload: {schema: 'public', view_name: 'a', scope: 'cascade'},
    })
    const update = (...flags: string[]) =>
      documentOf<{schedule: Schedule}>(['schedules', 'update', 'nightly', ...flags], db)
    expect((await update('--with-dependencies')).schedule.scope).toBe('both')
    expect((await update('--view', 'b')).schedule).toMatchObject({
      scope: 'both',
      payload: {schema: 'public', view_name: 'b', scope: 'both'},
    })
    expect((await update('--no-cascade')).schedule.scope).toBe('dependencies')
    expect((await update('--no-with-dependencies')).schedule).toMatchObject({
      scope: null,
      payload: {schema: 'public', view_name: 'b'},
    })
    const payload = '{"view_name": "b", "scope": "all"}'
    const line = ['schedules', 'update', 'nightly', '--payload', payload]
    expect((await failureOf(line, 'INVALID_ARGUMENT', db)).message).toContain('"scope" in the payload')
  })

  test('is refreshed in order, each view once', async () => {
    const {db, views} = await createChain('cascade', 'a')
    const {job, jobs} = await run(db)
    expect(jobs.map(viewOf)).toEqual(['a', 'b', 'd', 'c'])
    expect(job).toEqual(jobs[0])
    expect(statesOf(jobs)).toEqual({a: 'queued', b: 'waiting', c: 'waiting', d: 'waiting'})
    const [a, b, , c] = jobs
    expect(a).toMatchObject({setId: expect.any(String), waitingFor: []})
    expect(b).toMatchObject({
      setId: a?.setId,
      runAt: null,
      attempts: 0,
      waitingFor: [{schemaName: 'public', viewName: 'a'}],
    })
    for (const id of [c?.id ?? '', c?.id.slice(0, 10) ?? '']) {
      expect((await documentOf<JobDocument>(['jobs', 'show', id], db)).job).toEqual(c)
    }
    expect(statesOf(await listJobs(db, '--state', 'waiting'))).toEqual({
      b: 'waiting',
      c: 'waiting',
      d: 'waiting',
    })
    expect(statesOf(await listJobs(db, '--schedule', 'nightly'))).toEqual(statesOf(jobs))
    expect(await documentOf<JobStats>(['jobs', 'stats'], db)).toMatchObject({queued: 1, waiting: 3})
    expect(await db.query('select schedule_id from _ayb_jobs')).toEqual([{schedule_id: null}])

    const number = await views.change()
    expect(await workOnce(db)).toMatchObject({code: 0, claimed: 4, succeeded: 4, failed: 0, remaining: []})
    expect(await views.values()).toEqual({a: number, b: number, c: number, d: number})
    expect(await runsOf(db)).toHaveLength(4)
    const ended = await listJobs(db)
    expect(statesOf(ended)).toEqual({a: 'completed', b: 'completed', c: 'completed', d: 'completed'})
    expect(new Set(ended.map(({id}) => id))).toEqual(new Set(jobs.map(({id}) => id)))
    expect(await db.query('select from _ayb_job_edges where ended_at is null')).toEqual([])
  })

  test.each([
    {scope: 'dependencies', view: 'c', order: ['a', 'b', 'c']},
    {scope: 'both', view: 'b', order: ['a', 'b', 'c']},
    {scope: 'cascade', view: 'c', order: ['c']},
  ] as const)('with $scope of $view refreshes $order when it is due', async ({scope, view, order}) => {
    const {db, views} = await createChain(scope, view)
    await db.query(`update _ayb_job_schedules set next_run_at = now() - interval '1 s'`)
    await views.change()
    expect(await workOnce(db)).toMatchObject({code: 0, claimed: order.length, succeeded: order.length})
    expect((await runsOf(db)).map(({view_name}) => view_name)).toEqual(order)
    const list = await documentOf<{lastRunStatus: string}[]>(['schedules', 'list'], db)
    expect(list[0]?.lastRunStatus).toBe('success')
  })

  test('starts no second set while the first one is under way', async () => {
    const {db} = await createChain('cascade', 'a')
    const first = await run(db)
    expect((await run(db)).jobs).toEqual(first.jobs)
    await db.query(`update _ayb_job_schedules set next_run_at = now() - interval '1 s'`)
    expect(await workOnce(db)).toMatchObject({code: 0, claimed: 4, succeeded: 4})
    expect(await listJobs(db)).toHaveLength(4)
    expect((await run(db)).jobs.map(({id}) => id)).not.toContain(first.job.id)
  })

  test('is made a set by a worker, too, where another program queued its job', async () => {
    const {db, views} = await createChain('dependencies', 'c')
    await db.query(
      `insert into _ayb_jobs (type, payload, schedule_id) select job_type, payload, id from _ayb_job_schedules`,
    )
    const number = await views.change()
    expect(await workOnce(db)).toMatchObject({code: 0, claimed: 3, succeeded: 3})
    expect(await views.values()).toMatchObject({a: number, b: number, c: number})
  })

  test('cancels a job of the schedule that another program queues while the set is under way', async () => {
    const {db} = await createChain('cascade', 'a')
    await run(db)
    await db.query(
      `insert into _ayb_jobs (type, payload, schedule_id, run_at)
       select job_type, payload, id, now() - interval '1 s' from _ayb_job_schedules`,
    )
    expect(await workOnce(db)).toMatchObject({code: 0, claimed: 5, succeeded: 4, skipped: 1, failed: 0})
    expect(await runsOf(db)).toHaveLength(4)
    const [refused] = await listJobs(db, '--state', 'canceled')
    expect(refused?.lastError).toBe('the views of an earlier run are still being refreshed')
  })

  test('cancels what is below a view that failed, and revives that with a retry', async () => {
    const {db, views} = await createChain('cascade', 'a')
    await views.breakView('b')
    const {jobs} = await run(db)
    await db.query('update _ayb_job_edges set max_attempts = 1')
    const worked = await workOnce(db)
    expect(worked).toMatchObject({code: 1, succeeded: 2, failed: 1, canceled: 1, remaining: []})
    const ended = await listJobs(db)
    expect(statesOf(ended)).toEqual({a: 'completed', b: 'failed', c: 'canceled', d: 'completed'})
    expect(ended.find((job) => viewOf(job) === 'c')).toMatchObject({
      lastError: 'parent failed: public.b',
      canceledAt: expect.any(String),
    })
    await views.mendViews()
    const number = await views.change()
    const failed = jobs.find((job) => viewOf(job) === 'b')?.id ?? ''
    await documentOf(['jobs', 'retry', failed], db)
    expect(statesOf(await listJobs(db))).toMatchObject({b: 'queued', c: 'waiting'})
    expect(await workOnce(db)).toMatchObject({code: 0, succeeded: 2, failed: 0, canceled: 0})
    expect(await views.values()).toMatchObject({c: number - 1})
    expect(statesOf(await listJobs(db))).toMatchObject({b: 'completed', c: 'completed'})
  })

  test('loses what is below a job that somebody cancels, whether it was queued or waited', async () => {
    const {db} = await createChain('cascade', 'a')
    const {jobs} = await run(db)
    const idOf = (view: string) => jobs.find((job) => viewOf(job) === view)?.id ?? ''
    const canceled = await documentOf<JobDocument>(['jobs', 'cancel', idOf('b')], db)
    expect(canceled.job).toMatchObject({id: idOf('b'), state: 'canceled', setId: jobs[0]?.setId})
    expect(statesOf(await listJobs(db))).toEqual({a: 'queued', b: 'canceled', c: 'canceled', d: 'waiting'})
    await documentOf(['jobs', 'cancel', idOf('a')], db)
    expect(statesOf(await listJobs(db))).toMatchObject({a: 'canceled', d: 'canceled'})
    expect(await db.query('select from _ayb_job_edges where ended_at is null')).toEqual([])
    expect(await runsOf(db)).toEqual([])
  })

  test.each(['disable', 'delete'])(
    'is canceled by %s in the middle, and its running job ends',
    async (action) => {
      const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b']})
      await gates.a?.close()
      const set = await run(db)
      const worker = await startWorker(db)
      await untilRefreshing(db, 'a')
      await documentOf(['schedules', action, 'nightly'], db)
      await gates.a?.open()
      await untilMembers(db, set, {a: 'completed', b: 'canceled', c: 'canceled'})
      const canceled = (await listJobs(db)).filter(({state}) => state === 'canceled')
      expect(canceled.map(({lastError}) => lastError)).toEqual([
        'the schedule was disabled or deleted',
        'the schedule was disabled or deleted',
      ])
      await stopWorkers([worker])
      expect(await runsOf(db)).toHaveLength(1)
    },
  )

  test('is waited for as a whole', async () => {
    const {db, views} = await createChain('cascade', 'a')
    await views.breakView('d')
    const worker = await startWorker(db)
    const line = ['schedules', 'run', 'nightly', '--wait-timeout', '60s']
    await db.query('update _ayb_job_schedules set max_attempts = 1')
    const failure = await failureOf(line, 'REFRESH_FAILED', {url: db.url, timeoutMs: 90_000})
    expect(failure.message).toContain('the refresh of public.d failed')
    expect(statesOf(await listJobs(db))).toEqual({
      a: 'completed',
      b: 'completed',
      c: 'completed',
      d: 'failed',
    })
    await views.mendViews()
    const {jobs} = await documentOf<ScheduleRun>(line, {url: db.url, timeoutMs: 90_000})
    expect(jobs.map(({state}) => state)).toEqual(['completed', 'completed', 'completed', 'completed'])
    await stopWorkers([worker])
  })

  test('survives workers that are killed, and refreshes each view once for each attempt', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createViewSet(db, ['a > b > c > d > e'], {sleepMs: 1000})
    await createNightly(db, 'a')
    await run(db)
    for (const [running, next] of [
      ['b', 'c'],
      ['d', 'e'],
    ] as const) {
      const worker = await startWorker(db)
      await untilStates(db, {[running]: 'running', [next]: 'waiting'})
      worker.kill('SIGKILL')
      await worker.done
    }
    const worker = await startWorker(db)
    await untilStates(db, {e: 'completed'})
    await stopWorkers([worker])
    expect(statesOf(await listJobs(db))).toEqual(
      Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((view) => [view, 'completed'])),
    )
    const runs = (await runsOf(db)).map(({view_name}) => view_name)
    expect([...runs].sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  test('queues a child once, however many workers end its parents at the same time', async () => {
    const db = await createTestDatabase({hasTables: true})
    const parents = Array.from({length: 8}, (_, n) => `p${n}`)
    await createViewSet(
      db,
      parents.flatMap((parent) => [`root > ${parent} > child`]),
    )
    await createNightly(db, 'root')
    const workers = await Promise.all([startWorker(db), startWorker(db), startWorker(db)])
    for (let round = 1; round <= 5; round++) {
      await run(db)
      await until(
        async () => (await db.query('select from _ayb_job_edges where ended_at is null')).length === 0,
        {what: `the end of round ${round}`, timeoutMs: 60_000},
      )
      const rows = await db.query<{runs: number}>(
        `select count(*)::int as runs from _ayb_matview_refresh_runs where view_name = 'child' and status = 'success'`,
      )
      expect(rows).toEqual([{runs: round}])
    }
    await stopWorkers(workers)
    expect(await db.query(`select from _ayb_jobs where state <> 'completed'`)).toEqual([])
  })

  test('goes on by the poll where nobody told of the end of a parent', async () => {
    const {db, views} = await createChain('cascade', 'a')
    await run(db)
    const number = await views.change()
    // A program that knows no sets runs the first job.
    await db.query('refresh materialized view a')
    await db.query(`update _ayb_jobs set state = 'completed', completed_at = now() where state = 'queued'`)
    const worker = await startWorker(db)
    await untilStates(db, {b: 'completed', c: 'completed', d: 'completed'})
    await stopWorkers([worker])
    expect(await views.values()).toEqual({a: number, b: number, c: number, d: number})
  })

  test('takes what is below a job along that somebody deletes', async () => {
    const {db} = await createChain('cascade', 'a')
    await run(db)
    await db.query('delete from _ayb_jobs')
    const worker = await startWorker(db)
    await untilStates(db, {b: 'canceled', c: 'canceled', d: 'canceled'})
    await stopWorkers([worker])
    expect((await listJobs(db)).map(({lastError}) => lastError)).toEqual(
      Array.from({length: 3}, () => 'the job of a view above was deleted: public.a'),
    )
  })

  test('keeps its jobs while it is under way, and goes as a whole', async () => {
    const {db} = await createChain('cascade', 'a')
    await run(db)
    await db.query(`update _ayb_jobs set state = 'completed', completed_at = now() - interval '60 days';
      update _ayb_job_edges e set released_at = now(), ended_at = now() - interval '60 days', outcome = 'completed'
        from _ayb_jobs j where j.id = e.job_id`)
    const prune = () => documentOf(['jobs', 'prune', '--older-than', '30d', '--yes'], db)
    expect(await prune()).toMatchObject({deleted: 0})
    await db.query(`update _ayb_job_edges set ended_at = now() - interval '40 days', outcome = 'canceled'`)
    expect(await prune()).toMatchObject({deleted: 1})
    expect(await db.query('select from _ayb_job_edges')).toEqual([])
  })

  test('moves with a view that is renamed', async () => {
    const {db} = await createChain('cascade', 'a')
    await run(db)
    await db.query('alter materialized view c rename to cc')
    await documentOf(['matviews', 'relink', 'c', 'cc'], db)
    expect(await workOnce(db)).toMatchObject({code: 0, succeeded: 4})
    expect(statesOf(await listJobs(db))).toMatchObject({cc: 'completed'})
  })

  test('is refreshed alone, with a warning, where the table of sets is missing', async () => {
    const {db} = await createChain('cascade', 'a')
    const role = await db.createRole('limited')
    await db.query(`drop table _ayb_job_edges; revoke create on schema public from public;
      grant select, insert, update, delete on all tables in schema public to ${role.name};
      alter materialized view a owner to ${role.name}`)
    const failed = await ayb(
      ['schedules', 'create', '--name', 'other', '--cron', '@daily', '--view', 'a', '--cascade', '--json'],
      role,
    )
    expect(failed.json()).toMatchObject({error: {code: 'PERMISSION_DENIED'}})
    await insertSchedule(db, 'due', {view: 'a'})
    await db.query(
      `update _ayb_job_schedules set payload = payload || '{"scope": "cascade"}' where name = 'due'`,
    )
    const result = await ayb(['worker', '--once', '--json'], {url: role.url, timeoutMs: 60_000})
    expect(result.json()).toMatchObject({succeeded: 1})
    expect(result.stderr).toContain('public.a is refreshed alone')
  })
})

test('sets of many schedules over the same views are refreshed once for each', {
  timeout: 120_000,
}, async () => {
  const db = await createTestDatabase({hasTables: true})
  await createViewSet(db, ['a > b'])
  for (const name of ['one', 'two', 'three']) {
    await insertSchedule(db, name, {view: 'a'})
  }
  await db.query(`update _ayb_job_schedules set payload = payload || '{"scope": "cascade"}'`)
  expect(await workOnce(db)).toMatchObject({code: 0, succeeded: 6, failed: 0, remaining: []})
  const runs = (await runsOf(db)).map(({view_name}) => view_name).sort()
  expect(runs).toEqual(['a', 'a', 'a', 'b', 'b', 'b'])
})
