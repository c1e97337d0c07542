import {WAKE_CHANNEL} from '../../../src/db/queue/wake.ts'
import {type BenchDatabase, databaseNow} from '../server.ts'

/** Which schedules to create, and when they are due. */
interface Due {
  count: number
  /** When the first is due, in milliseconds from now. */
  inMs: number
  /** Between one and the next, in milliseconds; 0 for all at once. */
  intervalMs: number
}

/**
 * Creates schedules that run once a year, each on a minute of its own, the views in turn; sets when they are
 * due, to the microsecond, and wakes the workers. `bench_due` keeps those instants: retries move a job's own.
 * Returns when the last one is due by the database's clock, in milliseconds since 1970.
 */
export async function createSchedules(db: BenchDatabase, {count, inMs, intervalMs}: Due): Promise<number> {
  const firstDueAt = (await databaseNow(db)) + inMs
  await db.query(
    'create table if not exists bench_due (schedule_id uuid primary key, due_at timestamptz not null); truncate bench_due',
  )
  await db.query(
    `with created as (
       insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
       select 'bench ' || $3::float8 || ' ' || n, 'materialized_view_refresh', jsonb_build_object('view_name', 'v' || n % $2::int),
              format('%s %s 1 1 *', n % 60, n / 60 % 24), to_timestamp($3::float8 / 1000) + n * $4::float8 * interval '1 ms'
         from generate_series(0, $1::int - 1) n
       returning id, next_run_at)
     insert into bench_due select id, next_run_at from created`,
    [count, db.views, firstDueAt, intervalMs],
  )
  await db.query('analyze _ayb_job_schedules, bench_due')
  await db.query('select pg_notify($1, $2)', [WAKE_CHANNEL, ''])
  if ((await databaseNow(db)) > firstDueAt)
    throw new Error(`${count} schedules took more than ${inMs} ms to create`)
  return firstDueAt + (count - 1) * intervalMs
}
