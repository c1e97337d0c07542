import {expect, test} from 'vitest'
import {createTestDatabase} from '../support/database.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, say, startWorkers, stopWorkers} from '../support/worker.ts'

test('four workers make one job of each of 1,000 due schedules, and one run of each job', async () => {
  const db = await createTestDatabase({hasTables: true})
  const views = 200
  const schedules = 1000
  // A refresh that overlaps another one of the same view is seen in the table that both write.
  await db.query(`
    create table refreshes (view_name text, began timestamptz, ended timestamptz);
    create function note(view_name text) returns text language plpgsql security definer as $$
    declare began timestamptz := clock_timestamp();
    begin
      perform pg_sleep(0.002);
      insert into public.refreshes values (view_name, began, clock_timestamp());
      return view_name;
    end $$;
    do $$ begin
      for n in 1..${views} loop
        execute format('create materialized view v%s as select public.note(%L) as note with no data', n, 'v' || n);
      end loop;
    end $$;
    insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
    select 's' || n, 'materialized_view_refresh', json_build_object('view_name', 'v' || (n % ${views} + 1)),
           '0 0 1 1 *', now() + interval '4 s'
      from generate_series(1, ${schedules}) n`)
  const workers = await startWorkers(db, 4)
  await until(
    async () => {
      const [row] = await db.query<{done: number}>(
        `select count(*)::int as done from _ayb_jobs where state = 'completed'`,
      )
      return row?.done === schedules
    },
    {what: 'all jobs to be completed', timeoutMs: 100_000},
  )
  await stopWorkers(workers)

  const [counts] = await db.query(`
    select (select count(*)::int from _ayb_jobs) as jobs,
           (select count(distinct schedule_id)::int from _ayb_jobs) as schedules,
           (select count(*)::int from _ayb_matview_refresh_runs where status = 'success') as successes,
           (select count(distinct job_id)::int from _ayb_matview_refresh_runs where status = 'success') as jobs_done,
           (select count(*)::int from _ayb_matview_refresh_runs where status not in ('success', 'skipped')) as failures,
           (select count(*)::int from _ayb_jobs where attempts <> 1) as repeated,
           (select count(*)::int from refreshes) as refreshes,
           (select count(*)::int from refreshes a join refreshes b
               on a.view_name = b.view_name and a.ctid < b.ctid and a.began < b.ended and b.began < a.ended) as overlaps`)
  expect(counts).toEqual({
    jobs: schedules,
    schedules,
    successes: schedules,
    jobs_done: schedules,
    failures: 0,
    repeated: 0,
    refreshes: schedules,
    overlaps: 0,
  })
  expect(complaints(workers)).toEqual([])
  const shares = workers.map((worker) => worker.logs().filter(({msg}) => msg === 'refreshed').length)
  const [spent] = await db.query<{seconds: number; skips: number}>(`
    select extract(epoch from max(completed_at) - min(run_at))::float8 as seconds,
           (select count(*)::int from _ayb_matview_refresh_runs where status = 'skipped') as skips
      from _ayb_jobs`)
  say(`1,000 jobs in ${spent?.seconds} s, by worker ${shares}, ${spent?.skips} put back`)
  expect(shares.reduce((sum, share) => sum + share)).toBe(schedules)
}, 150_000)

test('workers beside an AYB server that advances the same schedules make one job of each due time', async () => {
  const db = await createTestDatabase({hasTables: true})
  const ids = await Promise.all(
    Array.from({length: 5}, (_, n) => insertSchedule(db, `s${n}`, {cron: '* * * * * *'})),
  )
  // Jobs that name no view fail at once, and keep the due time that they were made for.
  await db.query(`update _ayb_job_schedules set payload = '{}'`)
  const server = await db.connect()
  let advanced = 0
  let isOver = false
  const advance = async () => {
    while (!isOver) {
      for (const id of ids) {
        await server.query('begin')
        const {rows} = await server.query(
          'select next_run_at, payload, max_attempts from _ayb_job_schedules where id = $1',
          [id],
        )
        const {rowCount} = await server.query(
          `update _ayb_job_schedules
              set next_run_at = date_trunc('second', clock_timestamp()) + interval '1 s', last_run_at = now()
            where id = $1 and enabled and next_run_at <= now()`,
          [id],
        )
        if (rowCount === 1) {
          advanced++
          await server.query(
            `insert into _ayb_jobs (type, payload, max_attempts, schedule_id, run_at)
             values ('materialized_view_refresh', $1, $2, $3, $4)`,
            [rows[0].payload, rows[0].max_attempts, id, rows[0].next_run_at],
          )
        }
        await server.query('commit')
      }
    }
  }
  const workers = await startWorkers(db, 4)
  const advancing = advance()
  await until(
    async () => {
      const [row] = await db.query<{jobs: number}>('select count(*)::int as jobs from _ayb_jobs')
      return (row?.jobs ?? 0) > 40
    },
    {what: '40 jobs', timeoutMs: PATIENCE_MS},
  )
  isOver = true
  await advancing
  await stopWorkers(workers)
  const [counts] = await db.query<{jobs: number; due_times: number}>(
    'select count(*)::int as jobs, count(distinct (schedule_id, run_at))::int as due_times from _ayb_jobs',
  )
  say(`of ${counts?.jobs} jobs the server made ${advanced}`)
  expect(counts?.jobs).toBe(counts?.due_times)
  expect(complaints(workers).filter(({error}) => error !== 'the payload names no view: {}')).toEqual([])
}, 90_000)
