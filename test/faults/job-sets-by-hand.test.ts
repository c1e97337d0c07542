import {describe, expect, test} from 'vitest'
import type {JobDocument} from '../../src/lib/records/jobs.ts'
import {ayb} from '../support/ayb.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {
  anomalies,
  createGatedSet,
  idsByView,
  memberStates,
  refreshCounts,
  runSet,
  untilMembers,
} from '../support/job-sets.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {untilWaiting} from '../support/lock-waits.ts'
import {startPgBouncer} from '../support/pgbouncer.ts'
import {register, untilRefreshing} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, startWorkers, stopWorkers} from '../support/worker.ts'

const SOON = ['--poll-interval', '200ms']

describe.concurrent('a set of jobs', {timeout: 120_000}, () => {
  test('of a disabled schedule that is run by hand goes on, whatever else is changed of the schedule', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b']})
    await documentOf(['schedules', 'disable', 'nightly'], db)
    await gates.b?.close()
    const run = await runSet(db)
    expect(await memberStates(db, run)).toEqual({a: 'queued', b: 'waiting', c: 'waiting'})
    await db.query('alter materialized view a rename to aa')
    await documentOf(['matviews', 'relink', 'a', 'aa'], db)
    const worker = await startWorker(db, SOON)
    await untilRefreshing(db, 'b')
    await documentOf(['schedules', 'update', 'nightly', '--max-attempts', '2'], db)
    await gates.b?.open()
    await untilMembers(db, run, {aa: 'completed', b: 'completed', c: 'completed'})
    await gates.a?.close()
    const second = await runSet(db)
    await untilRefreshing(db, 'aa')
    await documentOf(['schedules', 'disable', 'nightly'], db)
    await gates.a?.open()
    await untilMembers(db, second, {aa: 'completed', b: 'canceled', c: 'canceled'})
    await stopWorkers([worker])
  })

  test('is not made of a job whose schedule was disabled after the claim', async () => {
    const {db} = await createGatedSet({a: [], b: ['a']})
    const holder = await db.connect()
    await holder.query('begin; select from _ayb_job_schedules for no key update')
    await db.query(
      `insert into _ayb_jobs (type, payload, schedule_id) select job_type, payload, id from _ayb_job_schedules`,
    )
    const worker = await startWorker(db, SOON)
    await untilWaiting(db, {program: 'ayb worker'})
    await holder.query(
      'update _ayb_job_schedules set enabled = false, updated_at = clock_timestamp(); commit',
    )
    const rows = () => db.query<{state: string}>('select state from _ayb_jobs')
    await until(async () => (await rows()).every(({state}) => state !== 'running'), {
      what: 'the end of the job',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])
    expect(await rows()).toEqual([{state: 'canceled'}])
    expect(await db.query('select from _ayb_job_edges')).toEqual([])
    expect(await refreshCounts(db)).toEqual({})
  })

  test('gets back with a retry what a failed job took along, and nothing that somebody canceled', async () => {
    const {db} = await createGatedSet({a: [], b: ['a'], c: ['b'], d: ['b'], e: ['c']}, [
      '--max-attempts',
      '1',
    ])
    await db.query(`create table broken as select 'b' as view_name;
      create or replace function note(view_name text, gate text) returns text language plpgsql as $$
      begin
        if note.view_name in (select b.view_name from public.broken b) then raise exception 'broken'; end if;
        insert into public.refreshes values (note.view_name, now(), now());
        return note.view_name;
      end $$`)
    const run = await runSet(db)
    const ids = idsByView(run)
    await documentOf(['jobs', 'cancel', ids.d ?? ''], db)
    const once = () => ayb(['worker', '--once', '--json'], {url: db.url, timeoutMs: 60_000})
    expect((await once()).code).toBe(1)
    expect(await memberStates(db, run)).toEqual({
      ...{a: 'completed', b: 'failed', c: 'canceled', d: 'canceled', e: 'canceled'},
    })
    await db.query('truncate broken; alter materialized view e rename to ee')
    await documentOf(['matviews', 'relink', 'e', 'ee'], db)
    await documentOf(['jobs', 'retry', ids.b ?? ''], db)
    expect(await memberStates(db, run)).toMatchObject({
      b: 'queued',
      c: 'waiting',
      d: 'canceled',
      ee: 'waiting',
    })
    expect((await once()).code).toBe(0)
    expect(await refreshCounts(db)).toEqual({a: 1, b: 1, c: 1, e: 1})
  })

  test('gets a canceled member back with a retry, unless a view above is missing', async () => {
    const {db} = await createGatedSet({a: [], b: ['a'], c: ['b'], d: ['c']})
    const run = await runSet(db)
    const ids = idsByView(run)
    const on = (action: 'cancel' | 'retry', view: string) => ['jobs', action, ids[view] ?? '']
    // One waits, one is queued.
    await documentOf(on('cancel', 'c'), db)
    await documentOf(on('cancel', 'a'), db)
    expect((await failureOf(on('retry', 'b'), 'JOB_STATE_CONFLICT', db)).message).toContain(
      'cannot be retried before its parent (parent canceled: public.a)',
    )
    expect((await failureOf(on('retry', 'c'), 'JOB_STATE_CONFLICT', db)).message).toContain(
      'before its parent',
    )
    expect((await documentOf<JobDocument>(on('retry', 'a'), db)).job).toMatchObject({state: 'queued'})
    expect(await memberStates(db, run)).toEqual({a: 'queued', b: 'waiting', c: 'canceled', d: 'canceled'})
    expect((await documentOf<JobDocument>(on('retry', 'c'), db)).job).toMatchObject({state: 'waiting'})
    expect(await memberStates(db, run)).toMatchObject({c: 'waiting', d: 'waiting'})
    expect((await ayb(['worker', '--once'], {url: db.url, timeoutMs: 60_000})).code).toBe(0)
    expect(await refreshCounts(db)).toEqual({a: 1, b: 1, c: 1, d: 1})
  })

  test('gets nothing back while another set of its schedule is under way', async () => {
    const {db} = await createGatedSet({a: [], b: ['a']})
    const run = await runSet(db)
    await documentOf(['jobs', 'cancel', run.job.id], db)
    const next = await runSet(db)
    const {message} = await failureOf(['jobs', 'retry', run.job.id], 'JOB_STATE_CONFLICT', db)
    expect(message).toContain(`its schedule already has a queued job, ${next.job.id}`)
    await db.query(`update _ayb_jobs set state = 'failed' where id = $1`, [run.job.id])
    await failureOf(['jobs', 'retry', run.job.id], 'JOB_STATE_CONFLICT', db)
    expect((await memberStates(db, run)).a).toBe('failed')
  })

  test('registers no view again that somebody unregistered in the middle', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b']})
    await gates.a?.close()
    const worker = await startWorker(db, SOON)
    const run = await runSet(db)
    await untilRefreshing(db, 'a')
    await documentOf(['matviews', 'unregister', 'b'], db)
    await gates.a?.open()
    await untilMembers(db, run, {a: 'completed', b: 'failed', c: 'canceled'})
    await stopWorkers([worker])
    const {job} = await documentOf<JobDocument>(['jobs', 'show', idsByView(run).b ?? ''], db)
    expect(job).toMatchObject({attempts: 1, lastError: 'materialized view public.b is not registered'})
    expect(await db.query('select view_name from _ayb_matview_refreshes order by 1')).toEqual([
      {view_name: 'a'},
      {view_name: 'c'},
    ])
  })

  test('goes on with the job of a refresh that was canceled, once somebody has the job retried', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b']})
    await gates.b?.close()
    const worker = await startWorker(db, SOON)
    const run = await runSet(db)
    const id = idsByView(run).b ?? ''
    await untilRefreshing(db, 'b')
    await documentOf(['jobs', 'cancel', id], db)
    await untilMembers(db, run, {b: 'canceled', c: 'canceled'})
    await gates.b?.open()
    await documentOf(['jobs', 'retry', id], db)
    await untilMembers(db, run, {a: 'completed', b: 'completed', c: 'completed'})
    await stopWorkers([worker])
    expect(await refreshCounts(db)).toEqual({a: 1, b: 1, c: 1})
  })

  test('is refreshed in order, canceled and revived through a transaction pooler of two connections', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b'], d: ['a']})
    const pooler = await startPgBouncer(db, {poolMode: 'transaction', poolSize: 2})
    const through = {...db, url: pooler.url}
    await gates.a?.close()
    const workers = await startWorkers(through, 2, ['--poll-interval', '500ms', '--concurrency', '1'])
    const run = await runSet(through)
    await untilRefreshing(db, 'a')
    await documentOf(['jobs', 'cancel', idsByView(run).b ?? ''], through)
    expect(await memberStates(db, run)).toMatchObject({b: 'canceled', c: 'canceled', d: 'waiting'})
    await documentOf(['jobs', 'retry', idsByView(run).b ?? ''], through)
    expect(await memberStates(db, run)).toMatchObject({b: 'waiting', c: 'waiting', d: 'waiting'})
    await gates.a?.open()
    await untilMembers(db, run, {a: 'completed', b: 'completed', c: 'completed', d: 'completed'})
    await gates.a?.close()
    const next = await runSet(through)
    await untilRefreshing(db, 'a')
    await documentOf(['schedules', 'disable', 'nightly'], through)
    await gates.a?.open()
    await untilMembers(db, next, {a: 'completed', b: 'canceled', c: 'canceled', d: 'canceled'})
    await stopWorkers(workers)
    expect(await refreshCounts(db)).toEqual({a: 2, b: 1, c: 1, d: 1})
    expect(await anomalies(db)).toEqual([])
  })

  test('is run by hand again where the worker of its last job died before it noted the end', async () => {
    const {db} = await createGatedSet({a: [], b: ['a']})
    const run = await runSet(db)
    expect((await ayb(['worker', '--once'], {url: db.url, timeoutMs: 60_000})).code).toBe(0)
    await db.query(`update _ayb_job_edges set outcome = null, ended_at = null where view_name = 'b'`)
    const next = await runSet(db)
    expect(next.job.setId).not.toBe(run.job.setId)
    expect(await memberStates(db, next)).toEqual({a: 'queued', b: 'waiting'})
    const {stdout, stderr} = await ayb(['schedules', 'run', 'nightly'], {url: db.url})
    expect(stdout).toMatch(/^Queued job \S+ of public\.a\nWaiting: job \S+ of public\.b\n$/)
    expect(stderr).toContain('the jobs of an earlier run have not all ended, so no new run begins')
  })

  test('ends where another program has members wait for each other, once nothing else of the set is to do', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b'], d: ['c'], e: ['a'], f: ['a']})
    await register(db, 'leaderboard')
    await gates.e?.close()
    const run = await runSet(db)
    const {b, c, f} = idsByView(run)
    const waitFor = (member: string, parent: string) =>
      db.query('update _ayb_job_edges set parents = array[$2::uuid] where job_id = $1', [member, parent])
    await waitFor(b ?? '', c ?? '')
    await waitFor(f ?? '', f ?? '')
    const worker = await startWorker(db, SOON)
    await untilRefreshing(db, 'e')
    // A poll behind the release of `e`.
    await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    expect(await memberStates(db, run)).toMatchObject({
      b: 'waiting',
      c: 'waiting',
      d: 'waiting',
      f: 'waiting',
    })
    await gates.e?.open()
    await untilMembers(db, run, {
      ...{a: 'completed', b: 'canceled', c: 'canceled', d: 'canceled', e: 'completed', f: 'canceled'},
    })
    const canceled = await db.query(`select distinct last_error from _ayb_jobs where state = 'canceled'`)
    expect(canceled).toEqual([{last_error: 'the jobs of the set wait for each other'}])
    await untilMembers(db, await runSet(db), {b: 'completed', d: 'completed', f: 'completed'})
    await stopWorkers([worker])
  })

  test('loses no job to a deadlock where a view of the set is relinked and its job canceled', async () => {
    const {db} = await createGatedSet({a: [], b: ['a']})
    const run = await runSet(db)
    await db.query('alter materialized view a rename to aa')
    // Lets sessions lock members, and change none.
    const holder = await db.connect()
    await holder.query('begin; lock table _ayb_job_edges in share mode')
    const relink = ayb(['matviews', 'relink', 'a', 'aa', '--json'], {url: db.url})
    await untilWaiting(db, {program: 'ayb matviews relink'})
    const cancel = ayb(['jobs', 'cancel', idsByView(run).a ?? '', '--json'], {url: db.url})
    await untilWaiting(db, {program: 'ayb jobs cancel'})
    await holder.query('rollback')
    expect([(await relink).code, (await cancel).code]).toEqual([0, 0])
    expect(Object.values(await memberStates(db, run))).toEqual(['canceled', 'canceled'])
  })
})
