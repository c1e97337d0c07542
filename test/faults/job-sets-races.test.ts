import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {
  anomalies,
  createGatedSet,
  idsByView,
  memberStates,
  refreshCounts,
  runSet,
  untilMembers,
} from '../support/job-sets.ts'
import {insertJob, jobOf, runsOfJob, untilState} from '../support/jobs.ts'
import {untilWaiting} from '../support/lock-waits.ts'
import {register, untilGone, untilNothingIsLeft, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, startWorker, startWorkers, stopWorkers} from '../support/worker.ts'

const SOON = ['--poll-interval', '200ms']
/** The poll comes much later than what a test waits for. */
const SELDOM = ['--poll-interval', '60s']

/** Holds the rows of all members: whoever moves a set on has to wait for that. */
async function holdMembers(db: TestDatabase): Promise<() => Promise<void>> {
  const holder = await db.connect()
  await holder.query('begin')
  await holder.query('select from _ayb_job_edges for update')
  return async () => {
    await holder.query('rollback')
  }
}

/** The backends of that program that wait for rows of members: so many at least. */
const untilHeldUp = (db: TestDatabase, count: number, program = 'ayb worker') =>
  untilWaiting(db, {count, program, statement: '_ayb_job_edges'})

describe.concurrent('a set of jobs', {timeout: 120_000}, () => {
  test('has one job for a child whose last two parents two workers end at the same time', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['a'], d: ['b', 'c']})
    await gates.b?.close()
    await gates.c?.close()
    // Each has one slot, and so one of the two parents.
    const workers = await startWorkers(db, 2, [...SELDOM, '--concurrency', '1'])
    const run = await runSet(db)
    await untilRefreshing(db, 'b')
    await untilRefreshing(db, 'c')
    const letGo = await holdMembers(db)
    await Promise.all([gates.b?.open(), gates.c?.open()])
    await untilHeldUp(db, 2)
    expect(await memberStates(db, run)).toMatchObject({b: 'completed', c: 'completed', d: 'waiting'})
    await letGo()
    await untilMembers(db, run, {d: 'completed'})
    await stopWorkers(workers)
    expect(await refreshCounts(db)).toEqual({a: 1, b: 1, c: 1, d: 1})
    expect(await db.query('select from _ayb_jobs')).toHaveLength(4)
    expect(complaints(workers)).toEqual([])
    expect(await anomalies(db)).toEqual([])
  })

  test('goes on by the poll where the session dies between the end of a parent and the release', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b']})
    await gates.a?.close()
    const worker = await startWorker(db, SOON)
    const run = await runSet(db)
    await untilRefreshing(db, 'a')
    const letGo = await holdMembers(db)
    await gates.a?.open()
    for (const pid of await untilHeldUp(db, 1)) {
      await db.query('select pg_terminate_backend($1)', [pid])
      await untilGone(db, pid)
    }
    expect(await memberStates(db, run)).toMatchObject({a: 'completed', b: 'waiting'})
    await letGo()
    await untilMembers(db, run, {c: 'completed'})
    await stopWorkers([worker])
    expect(await refreshCounts(db)).toEqual({a: 1, b: 1, c: 1})
    expect((await runsOfJob(db, idsByView(run).a ?? '')).map(({status}) => status)).toEqual(['success'])
  })

  test('goes on with another worker where its worker is killed in mid-chain, or before the release', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b'], d: ['c']})
    await gates.b?.close()
    const first = await startWorker(db, SOON)
    const run = await runSet(db)
    const ids = idsByView(run)
    const refreshing = await untilRefreshing(db, 'b')
    first.kill('SIGKILL')
    await first.done
    await untilGone(db, refreshing)
    await gates.b?.open()
    await gates.c?.close()
    const second = await startWorker(db, SOON)
    await untilRefreshing(db, 'c')
    const letGo = await holdMembers(db)
    await gates.c?.open()
    const [releasing] = await untilHeldUp(db, 1)
    second.kill('SIGKILL')
    await second.done
    await untilGone(db, releasing ?? 0)
    await letGo()
    expect(await memberStates(db, run)).toEqual({
      a: 'completed',
      b: 'completed',
      c: 'completed',
      d: 'waiting',
    })
    const third = await startWorker(db, SOON)
    await untilMembers(db, run, {d: 'completed'})
    await stopWorkers([third])
    expect(await refreshCounts(db)).toEqual({a: 1, b: 1, c: 1, d: 1})
    expect(await jobOf(db, ids.b ?? '')).toMatchObject({attempts: 2})
    expect((await runsOfJob(db, ids.b ?? '')).map(({status}) => status)).toEqual(['error', 'success'])
    expect(await anomalies(db)).toEqual([])
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('waits while a parent is tried again, and loses nothing by that', async () => {
    const {db} = await createGatedSet({a: [], b: ['a'], c: ['b']}, ['--max-attempts', '2'])
    await db.query(`create or replace function note(view_name text, gate text) returns text language plpgsql as $$
      begin
        if view_name = 'b' and not exists (select from public._ayb_matview_refresh_runs r where r.view_name = 'b') then
          raise exception 'not this time';
        end if;
        return view_name;
      end $$`)
    const worker = await startWorker(db, SOON)
    const run = await runSet(db)
    await until(async () => (await runsOfJob(db, idsByView(run).b ?? '')).length === 1, {
      what: 'the first attempt',
      timeoutMs: PATIENCE_MS,
    })
    expect(await memberStates(db, run)).toEqual({a: 'completed', b: 'queued', c: 'waiting'})
    await untilMembers(db, run, {b: 'completed', c: 'completed'})
    await stopWorkers([worker])
  })

  test('keeps no other job waiting where somebody holds the rows of its members', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a']})
    await gates.a?.close()
    await register(db, 'leaderboard')
    const worker = await startWorker(db, SOON)
    const run = await runSet(db)
    await untilRefreshing(db, 'a')
    const letGo = await holdMembers(db)
    await gates.a?.open()
    for (let n = 0; n < 3; n++) {
      await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    }
    expect(await memberStates(db, run)).toEqual({a: 'completed', b: 'waiting'})
    await letGo()
    await untilMembers(db, run, {b: 'completed'})
    await stopWorkers([worker])
    expect(worker.logs().filter(({msg}) => /database|connect/.test(msg))).toEqual([])
  })

  test('refreshes a view of another schedule once for each, one after the other', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b']})
    await gates.b?.close()
    const workers = await startWorkers(db, 2, SOON)
    const run = await runSet(db)
    await untilRefreshing(db, 'b')
    const other = await insertSchedule(db, 'other', {view: 'b'})
    const claimed = () => db.query<{id: string}>('select id from _ayb_jobs where schedule_id = $1', [other])
    const [job] = await until(async () => ((await claimed()).length > 0 ? claimed() : null), {
      what: 'the job of the other schedule',
      timeoutMs: PATIENCE_MS,
    })
    await gates.b?.open()
    await untilMembers(db, run, {c: 'completed'})
    await untilState(db, job?.id ?? '', 'completed')
    await stopWorkers(workers)
    expect(await refreshCounts(db)).toEqual({a: 1, b: 2, c: 1})
    expect(await anomalies(db)).toEqual([])
  })

  test('is canceled with its schedule while a job runs, also where that job is to be tried again', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b'], d: ['a']})
    await gates.b?.close()
    await gates.d?.close()
    const worker = await startWorker(db, SOON)
    const run = await runSet(db)
    const pid = await untilRefreshing(db, 'b')
    await untilRefreshing(db, 'd')
    await documentOf(['schedules', 'disable', 'nightly'], db)
    expect(await memberStates(db, run)).toEqual({a: 'completed', b: 'running', c: 'canceled', d: 'running'})
    // Lost, and so to be tried again, if the set went on.
    await db.query('select pg_terminate_backend($1)', [pid])
    await gates.d?.open()
    await untilMembers(db, run, {b: 'canceled', d: 'completed'})
    await gates.b?.open()
    await documentOf(['schedules', 'enable', 'nightly'], db)
    const next = await runSet(db)
    expect(next.job.setId).not.toBe(run.job.setId)
    await untilMembers(db, next, {a: 'completed', b: 'completed', c: 'completed', d: 'completed'})
    await stopWorkers([worker])
    expect(await refreshCounts(db)).toEqual({a: 2, b: 1, c: 1, d: 2})
  })

  test('of which a job is canceled at the moment when it is released ends in one state', async () => {
    const {db, gates} = await createGatedSet({a: [], b: ['a'], c: ['b']})
    const workers = await startWorkers(db, 2, SOON)
    for (const isFirst of [true, false, true, false]) {
      await gates.a?.close()
      const run = await runSet(db)
      await untilRefreshing(db, 'a')
      const letGo = await holdMembers(db)
      const startCancel = async () => {
        const done = ayb(['jobs', 'cancel', idsByView(run).b ?? '', '--json'], {url: db.url})
        await untilHeldUp(db, 1, 'ayb jobs cancel')
        return {done}
      }
      const early = isFirst ? await startCancel() : null
      await gates.a?.open()
      await untilHeldUp(db, 1)
      const cancel = early ?? (await startCancel())
      await letGo()
      const {code} = await cancel.done
      if (isFirst) expect(code).toBe(0)
      const end = code === 0 ? {b: 'canceled', c: 'canceled'} : {b: 'completed', c: 'completed'}
      await untilMembers(db, run, {a: 'completed', ...end})
      const open = 'select from _ayb_job_edges where ended_at is null'
      await until(async () => (await db.query(open)).length === 0, {what: 'the end of the set'})
    }
    await stopWorkers(workers)
    expect(complaints(workers).filter(({level}) => level === 'error')).toEqual([])
    expect(await anomalies(db)).toEqual([])
  })
})

test('several schedules over the same views, many workers: each set refreshes each view once, one at a time', {
  timeout: 180_000,
}, async () => {
  const {db} = await createGatedSet({a: [], b: ['a'], c: ['a'], d: ['b', 'c'], e: ['d'], f: ['a', 'e']})
  const sets = 6
  for (let n = 0; n < sets; n++) {
    const line = ['schedules', 'create', '--name', `s${n}`, '--cron', '0 3 1 1 *', '--view', 'a', '--cascade']
    await documentOf(line, db)
  }
  const workers = await startWorkers(db, 4, ['--concurrency', '3'])
  await db.query(
    `update _ayb_job_schedules set next_run_at = now() where name <> 'nightly'; notify ayb_cli_wake`,
  )
  const ended = `select from _ayb_job_edges where outcome = 'completed'`
  await until(async () => (await db.query(ended)).length === sets * 6, {
    what: 'the end of all sets',
    timeoutMs: 120_000,
  })
  await stopWorkers(workers)
  expect(await refreshCounts(db)).toEqual({a: sets, b: sets, c: sets, d: sets, e: sets, f: sets})
  expect(await db.query(`select from _ayb_jobs where state <> 'completed'`)).toEqual([])
  // Each job began when the jobs of its parents were completed.
  const early = await db.query(
    `select e.view_name from _ayb_job_edges e join _ayb_jobs j on j.id = e.job_id
       cross join lateral unnest(e.parents) p(id) join _ayb_jobs x on x.id = p.id
      where j.last_run_at < x.completed_at`,
  )
  expect(early).toEqual([])
  expect(await anomalies(db)).toEqual([])
  await untilNothingIsLeft(db, PATIENCE_MS)
})
