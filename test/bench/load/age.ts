import type {BenchDatabase} from '../server.ts'

/**
 * Writes what a worker leaves in so many minutes in which each of the schedules is due once a minute, the
 * last one over a minute ago: each schedule is moved on, and its job queued, claimed and completed. Each
 * minute is a transaction.
 */
export async function age(
  db: BenchDatabase,
  {minutes, schedules}: {minutes: number; schedules: number},
): Promise<void> {
  await db.query(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
     select 'every minute ' || n, 'materialized_view_refresh', jsonb_build_object('view_name', 'v' || n % $2::int), '* * * * *', now()
       from generate_series(0, $1::int - 1) n`,
    [schedules, db.views],
  )
  for (let left = minutes; left > 0; left--) await passMinute(db, left)
  await db.query(`update _ayb_job_schedules set next_run_at = now() + interval '1 day'`)
}

async function passMinute(db: BenchDatabase, minutesAgo: number): Promise<void> {
  await db.query(`
    do $$
    declare
      at timestamptz := now() - ${minutesAgo} * interval '1 min';
      worker text := 'ayb:5bd1e9955bd1e995:bench:1';
    begin
      update _ayb_job_schedules set next_run_at = at + interval '1 min', last_run_at = at, updated_at = at;
      insert into _ayb_jobs (type, payload, schedule_id, run_at, created_at, updated_at)
      select s.job_type, s.payload, s.id, at, at, at from _ayb_job_schedules s;
      update _ayb_jobs set state = 'running', worker_id = worker, attempts = 1, lease_until = at + interval '5 min', last_run_at = at
       where state = 'queued' and run_at = at;
      update _ayb_jobs set state = 'completed', worker_id = null, lease_until = null, completed_at = at + interval '1 s'
       where state = 'running' and run_at = at;
      insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, duration_ms, status)
      select 'public', j.payload->>'view_name', 'standard', 'schedule', j.id, worker, at, 5, 'success' from _ayb_jobs j
       where j.run_at = at and j.state = 'completed';
    end $$`)
}
