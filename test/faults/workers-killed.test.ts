import {expect, test} from 'vitest'
import {type TestDatabase, until} from '../support/database.ts'
import {inspectProcess} from '../support/processes.ts'
import {untilNothingIsLeft} from '../support/refresh.ts'
import {
  createWorkerDatabase,
  PATIENCE_MS,
  type RunningWorker,
  say,
  startWorker,
  stopWorkers,
} from '../support/worker.ts'

const VIEWS = 200
const SCHEDULES = 1000
const WORKERS = 8
const KILLS = 20
/** So long that the work outlasts the kills: 32 slots, and 1,000 jobs. */
const REFRESH_S = 0.8

/**
 * Views whose refreshes leave a row when they are committed, so that two at once are seen; and five schedules of
 * each. One in ten has a single attempt: a kill is the end of its job.
 */
async function createCrowd(): Promise<TestDatabase> {
  const db = await createWorkerDatabase()
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
           '0 0 1 1 *', case when n % 10 = 0 then 1 else 20 end
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

/** Kills the worker, and returns another one in its place. */
async function replace(db: TestDatabase, victim: RunningWorker): Promise<RunningWorker> {
  victim.kill('SIGKILL')
  expect(await victim.done).toMatchObject({signal: 'SIGKILL'})
  expect(inspectProcess(victim.pid)).toBeUndefined()
  return startOne(db)
}

const startOne = (db: TestDatabase) => startWorker(db, [], {timeoutMs: 300_000})

test('eight workers, one killed each second and replaced, refresh each of 1,000 due times, and end each job once', async () => {
  const db = await createCrowd()
  const workers = await Promise.all(Array.from({length: WORKERS}, () => startOne(db)))
  await db.query(`update _ayb_job_schedules set next_run_at = now() + interval '1 s'`)
  await db.query('notify ayb_cli_wake')
  await until(async () => (await db.query('select from _ayb_jobs limit 1')).length > 0, {
    what: 'the first jobs',
    timeoutMs: PATIENCE_MS,
  })

  const beganAt = performance.now()
  for (let kill = 0; kill < KILLS; kill++) {
    await until(() => performance.now() >= beganAt + kill * 1000, {what: 'the next second'})
    const position = kill % WORKERS
    workers[position] = await replace(db, workers[position] as RunningWorker)
    expect(await changedEnds(db)).toEqual([])
  }
  await until(
    async () => {
      const [row] = await db.query<{live: number}>(
        `select count(*)::int as live from _ayb_jobs where state in ('queued', 'running')`,
      )
      return row?.live === 0
    },
    {what: 'all jobs to end', timeoutMs: 180_000},
  )
  expect(await changedEnds(db)).toEqual([])
  await stopWorkers(workers)
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
           (select count(*)::int from j where state = 'failed' and (successes > 0 or max_attempts > 1)) as failed_wrongly,
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
  const [hurt] = await db.query<{died: number; failed: number; most: number}>(`
    select (select count(*)::int from _ayb_matview_refresh_runs where error like 'worker % died or lost its lease') as died,
           (select count(*)::int from _ayb_jobs where state = 'failed') as failed,
           (select max(attempts) from _ayb_jobs) as most`)
  say(
    `${KILLS} kills hit ${hurt?.died} attempts, ${hurt?.failed} of them the only one; at most ${hurt?.most} a job`,
  )
  // Nearly every kill met a worker with four jobs in hand.
  expect(hurt?.died).toBeGreaterThan(0)
}, 360_000)
