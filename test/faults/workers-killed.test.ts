import {expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {inspectProcess} from '../support/processes.ts'
import {untilNothingIsLeft} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {type RunningWorker, say, startWorker, stopWorkers} from '../support/worker.ts'

const VIEWS = 200
const SCHEDULES = 1000
const WORKERS = 8
const KILLS = 20
/**
 * So long that the work outlasts the kills, however fast the machine is: 1,000 jobs in 32 slots take 31 s at
 * least.
 */
const REFRESH_S = 1

/**
 * Views whose refreshes leave a row when they are committed, so that two at once are seen; and five schedules
 * of each. One in four has a single attempt, so that a kill is the end of its job, and one in four has two.
 */
async function createCrowd(): Promise<TestDatabase> {
  const db = await createTestDatabase({hasTables: true})
  await db.query(`
    create table refreshes (view_name text, began timestamptz, ended timestamptz);
    create table ends (id uuid primary key, state text, completed_at timestamptz);
    create function note(view_name text) returns text language plpgsql security definer as $$
    declare began timestamptz := clock_timestamp();
    begin
      perform pg_sleep(${REFRESH_S});
      insert into public.refreshes values (view_name, began, clock_timestamp());
      return view_name;
    end $$;
    do $$ begin
      for n in 1..${VIEWS} loop
        execute format('create materialized view v%s as select public.note(%L) as note with no data', n, 'v' || n);
      end loop;
    end $$;
    insert into _ayb_job_schedules (name, job_type, payload, cron_expr, max_attempts)
    select 's' || n, 'materialized_view_refresh', json_build_object('view_name', 'v' || (n % ${VIEWS} + 1)),
           '0 0 1 1 *', case (n + n / ${VIEWS}) % 4 when 0 then 1 when 1 then 2 else 20 end
      from generate_series(1, ${SCHEDULES}) n`)
  return db
}

/** Notes which jobs have ended, and returns those of which an earlier look said something else. */
async function changedEnds(db: TestDatabase): Promise<object[]> {
  await db.query(`
    insert into ends
    select id, state, completed_at from _ayb_jobs where state in ('completed', 'failed', 'canceled')
        on conflict do nothing`)
  return db.query(`
    select e.*, j.state as state_now, j.completed_at as completed_now
      from ends e left join _ayb_jobs j on j.id = e.id
     where (j.state, j.completed_at) is distinct from (e.state, e.completed_at)`)
}

/** How many jobs have not ended. */
async function openJobs(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{open: number}>(
    `select count(*)::int as open from _ayb_jobs where state in ('queued', 'running')`,
  )
  return row?.open ?? Number.NaN
}

/** Kills the worker, which had something left to do. */
async function kill(db: TestDatabase, victim: RunningWorker): Promise<void> {
  expect(await openJobs(db)).toBeGreaterThan(0)
  victim.kill('SIGKILL')
  expect(await victim.done).toMatchObject({signal: 'SIGKILL'})
  expect(inspectProcess(victim.pid)).toBeUndefined()
}

const startOne = (db: TestDatabase) => startWorker(db, [], {timeoutMs: 300_000})

test('eight workers, one killed each second and replaced, refresh each of 1,000 due times, and end each job once', async () => {
  const db = await createCrowd()
  const first = await Promise.all(Array.from({length: WORKERS}, () => startOne(db)))
  const workers = first.map((worker) => Promise.resolve(worker))
  await db.query(`update _ayb_job_schedules set next_run_at = now() + interval '1 s'`)
  await db.query('notify ayb_cli_wake')
  await until(async () => (await db.query('select from _ayb_jobs limit 1')).length > 0, {
    what: 'the first jobs',
    timeoutMs: PATIENCE_MS,
  })

  const beganAt = performance.now()
  for (let second = 0; second < KILLS; second++) {
    await until(() => performance.now() >= beganAt + second * 1000, {what: 'the next second'})
    const position = second % WORKERS
    await kill(db, (await workers[position]) as RunningWorker)
    // On a slow machine the next second would pass while it starts.
    const successor = startOne(db)
    successor.catch(() => {})
    workers[position] = successor
    expect(await changedEnds(db)).toEqual([])
  }
  const killedMs = performance.now() - beganAt
  await until(async () => (await openJobs(db)) === 0, {what: 'all jobs to end', timeoutMs: 180_000})
  expect(await changedEnds(db)).toEqual([])
  await stopWorkers(await Promise.all(workers))
  await untilNothingIsLeft(db, PATIENCE_MS)

  const [counts] = await db.query(`
    with r as (select job_id, count(*) filter (where status = 'success') as successes,
                      count(*) filter (where status = 'error') as errors
                 from _ayb_matview_refresh_runs group by job_id),
         j as (select j.*, coalesce(r.successes, 0) as successes, coalesce(r.errors, 0) as errors
                 from _ayb_jobs j left join r on r.job_id = j.id)
    select (select count(*)::int from j) as jobs,
           (select count(distinct schedule_id)::int from j) as schedules,
           (select count(*)::int from _ayb_job_schedules where next_run_at <= now()) as still_due,
           (select count(*)::int from j where state = 'completed' and successes <> 1) as completed_not_once,
           (select count(*)::int from j where state = 'failed' and (successes > 0 or attempts <> max_attempts)) as failed_wrongly,
           (select count(*)::int from j where state not in ('completed', 'failed')) as unended,
           (select count(*)::int from j where attempts > max_attempts or attempts < 1) as beyond_attempts,
           (select count(*)::int from j where successes + errors <> attempts) as attempts_untold,
           (select count(*)::int from j where worker_id is not null or lease_until is not null) as still_claimed,
           (select count(*)::int from _ayb_matview_refresh_runs where status = 'success')
           - (select count(*)::int from refreshes) as unrecorded,
           (select count(*)::int from refreshes a join refreshes b
               on a.view_name = b.view_name and a.ctid < b.ctid and a.began < b.ended and b.began < a.ended) as overlaps`)
  expect(counts).toEqual({
    jobs: SCHEDULES,
    schedules: SCHEDULES,
    still_due: 0,
    completed_not_once: 0,
    failed_wrongly: 0,
    unended: 0,
    beyond_attempts: 0,
    attempts_untold: 0,
    still_claimed: 0,
    unrecorded: 0,
    overlaps: 0,
  })
  const [hurt] = await db.query<{killed: number; died: number; failed: number; last_chances: number}>(`
    with deaths as (select worker_id from _ayb_matview_refresh_runs where error like 'worker % died or lost its lease')
    select (select count(distinct worker_id)::int from deaths) as killed,
           (select count(*)::int from deaths) as died,
           (select count(*)::int from _ayb_jobs where state = 'failed') as failed,
           (select count(*)::int from _ayb_jobs where state = 'completed' and attempts = 2 and max_attempts = 2) as last_chances`)
  say(
    `${KILLS} kills in ${Math.round(killedMs / 1000)} s hit ${hurt?.died} attempts of ${hurt?.killed} workers: ` +
      `${hurt?.failed} jobs had no other, ${hurt?.last_chances} ended well in their last one`,
  )
  // Nearly every one met a worker with four jobs in hand.
  expect(hurt?.killed).toBeGreaterThanOrEqual(KILLS / 2)
  expect(hurt?.failed).toBeGreaterThan(0)
  expect(hurt?.last_chances).toBeGreaterThan(0)
}, 360_000)
