import {describe, expect, test} from 'vitest'
import {write} from '../support/changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {runsOf} from '../support/refresh.ts'
import {until} from '../support/until.ts'
import {startWorker, startWorkers, stopWorkers} from '../support/worker.ts'

const PATIENCE_MS = 60_000
/** The age less a tenth, the margin: refreshes of the view take milliseconds. */
const INTERVAL_MS = 4500

async function createPromised(): Promise<TestDatabase> {
  const db = await createTestDatabase({hasTables: true})
  await db.query('create materialized view quick as select 1 as one')
  await documentOf(['matviews', 'register', 'quick'], db)
  await db.query(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
     values ('live', 'materialized_view_refresh', '{"view_name": "quick"}', '* * * * *', now())`,
  )
  await db.query(
    `insert into _ayb_schedule_promises (schedule_id, max_age_ms, cron_expr, due_at)
     select id, 5000, cron_expr, next_run_at from _ayb_job_schedules`,
  )
  return db
}

const startsOf = async (db: TestDatabase): Promise<number[]> =>
  (await runsOf(db, 'quick')).map(({started_at}) => started_at.getTime()).reverse()

const untilRuns = (db: TestDatabase, count: number) =>
  until(async () => (await startsOf(db)).length >= count, {
    what: `${count} refreshes`,
    timeoutMs: PATIENCE_MS,
  })

/** How long the next run is ahead, in milliseconds. */
const untilNext = async (db: TestDatabase): Promise<number> => {
  const [row] = await db.query<{ms: number}>(
    'select (extract(epoch from next_run_at - now()) * 1000)::float8 as ms from _ayb_job_schedules',
  )
  return (row as {ms: number}).ms
}

describe.concurrent('a schedule with a max age', {timeout: 180_000}, () => {
  test('refreshes in time and once, with two workers, and after both were started anew', async () => {
    const db = await createPromised()
    const workers = await startWorkers(db, 2)
    await untilRuns(db, 4)
    await stopWorkers(workers)
    const starts = await startsOf(db)
    for (const [place, start] of starts.slice(1).entries()) {
      // As each due time is one refresh, none comes early. A busy machine makes some late.
      expect(start - (starts[place] as number)).toBeGreaterThan(INTERVAL_MS - 500)
      expect(start - (starts[place] as number)).toBeLessThan(INTERVAL_MS + 5000)
    }
    const before = starts.length
    const again = await startWorker(db)
    await untilRuns(db, before + 1)
    await stopWorkers([again])
    const [last = 0, next = 0] = (await startsOf(db)).slice(before - 1)
    expect(next - last).toBeGreaterThan(INTERVAL_MS - 500)
  })

  test('is brought back by a worker when a program that knows only the expression moves it on', async () => {
    const db = await createPromised()
    const worker = await startWorker(db)
    await untilRuns(db, 1)
    // As an AYB server does: a job, and the next full hour.
    await db.query(`
      insert into _ayb_jobs (type, payload, schedule_id, run_at)
      select job_type, payload, id, now() from _ayb_job_schedules;
      update _ayb_job_schedules set next_run_at = now() + interval '1 hour'`)
    await until(async () => (await untilNext(db)) <= 5000, {what: 'the next run', timeoutMs: PATIENCE_MS})
    await untilRuns(db, 4)
    // A clock that was ahead for a moment.
    await db.query(`update _ayb_job_schedules set next_run_at = now() + interval '1 year';
      update _ayb_schedule_promises p set due_at = s.next_run_at from _ayb_job_schedules s where s.id = p.schedule_id`)
    await until(async () => (await untilNext(db)) <= 5000, {what: 'the next run', timeoutMs: PATIENCE_MS})
    await stopWorkers([worker])
    expect((await runsOf(db, 'quick')).every(({status}) => status === 'success')).toBe(true)
  })

  test('refreshes the views below one that looks unchanged', async () => {
    const db = await createTestDatabase({hasTables: true})
    await write(
      db,
      `create table own (id int);
      create table read_above (id int);
      create materialized view above as select count(*) as n from read_above;
      create materialized view below as select a.n, (select count(*) from own) as own from above a`,
    )
    await documentOf(['matviews', 'register', 'above', '--skip-unchanged'], db)
    await documentOf(['matviews', 'register', 'below'], db)
    const args = ['--name', 'live', '--view', 'above', '--cascade', '--max-age', '5s']
    await documentOf(['schedules', 'create', ...args], db)
    const worker = await startWorker(db)
    const checksOf = async () =>
      (await db.query<{n: number}>('select max(unchanged_checks) as n from _ayb_matview_states'))[0]?.n ?? 0
    await until(async () => (await runsOf(db, 'below')).length >= 1, {
      what: 'the first set',
      timeoutMs: PATIENCE_MS,
    })
    await db.query('insert into own values (1)')
    await until(async () => (await db.query('select from below where own = 1')).length === 1, {
      what: 'a refresh of the view below',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])
    expect(Number(await checksOf())).toBeGreaterThan(0)
    expect(await db.query(`select last_error from _ayb_jobs where state = 'canceled'`)).toEqual([])
  })
})
