import {setTimeout as sleep} from 'node:timers/promises'
import type {PostgresServer} from '../support/postgres.ts'
import {processorTime, usedBetween} from './processor.ts'
import type {Rate} from './rates.ts'
import {
  type BenchDatabase,
  type BenchWorker,
  createBenchDatabase,
  type Mode,
  startBenchWorker,
} from './server.ts'

/** From the insertion of schedules or jobs to when they are due: whoever is to run them is up and idle by then. */
export const LEAD_MS = 3000
const LOOK_EVERY_MS = 200
const DEADLINE_MS = 300_000

/** What is drained, and by whom. */
export interface Drain {
  jobs: number
  mode: Mode
  /** Of each worker. */
  slots: number
  /** One without it. */
  workers?: number
  /** This Node.js without it. */
  node?: string
}

/**
 * How many refreshes a second ayb does when so many schedules are due at one instant, ten or so a view: from then to
 * the end of the last job, by the database's clock, on a fresh database.
 * @throws Error where any of them did not succeed
 */
export async function drainWithAyb(server: PostgresServer, drain: Drain): Promise<Rate> {
  const {jobs, mode, slots, workers: count = 1, node} = drain
  const db = await createBenchDatabase(server, {mode})
  const workers: BenchWorker[] = []
  try {
    for (let started = 0; started < count; started++) {
      workers.push(await startBenchWorker(db, {slots, ...(node === undefined ? {} : {node})}))
    }
    const due = await insertSchedules(db, jobs)
    const pids = workers.map(({pid}) => pid)
    const before = processorTime(server, pids)
    await untilCompleted(db, jobs)
    const each = usedBetween(before, processorTime(server, pids), jobs)
    await checkRuns(db, jobs)
    const rate = await jobsPerSecond(db, jobs, due)
    await Promise.all(workers.map((worker) => worker.stop()))
    return {perSecond: rate, each}
  } finally {
    for (const worker of workers) worker.kill('SIGKILL')
    await db.drop()
  }
}

/** Schedules that are due at one instant, the views in turn; returns it, as exact text. */
async function insertSchedules(db: BenchDatabase, count: number): Promise<string> {
  const [row] = await db.query<{due: string}>(
    `with due as materialized (select clock_timestamp() + $3 * interval '1 ms' as at),
     inserted as (
       insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
       select 'bench ' || n, 'materialized_view_refresh', jsonb_build_object('view_name', 'v' || n % $2::int), '0 0 1 1 *', due.at
         from due, generate_series(0, $1::int - 1) n)
     select at::text as due from due`,
    [count, db.views, LEAD_MS],
  )
  await db.query(`select pg_notify('ayb_cli_wake', '')`)
  if (!row) throw new Error('no schedule was inserted')
  return row.due
}

async function untilCompleted(db: BenchDatabase, jobs: number): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    await sleep(LOOK_EVERY_MS)
    const [row] = await db.query<{completed: number; failed: number}>(
      `select count(*) filter (where state = 'completed')::int as completed,
              count(*) filter (where state in ('failed', 'canceled'))::int as failed
         from _ayb_jobs`,
    )
    if (row?.completed === jobs) return
    if (row === undefined || row.failed > 0 || performance.now() > deadline) {
      throw new Error(`of ${jobs} jobs, ${row?.completed} were completed and ${row?.failed} failed`)
    }
  }
}

async function checkRuns(db: BenchDatabase, jobs: number): Promise<void> {
  const [row] = await db.query<{successes: number; jobs: number}>(
    `select count(*) filter (where status = 'success')::int as successes, count(distinct job_id)::int as jobs
       from _ayb_matview_refresh_runs`,
  )
  if (row?.successes !== jobs || row.jobs !== jobs) {
    throw new Error(
      `${jobs} jobs were completed, but the history has ${row?.successes} refreshes of ${row?.jobs} jobs`,
    )
  }
}

async function jobsPerSecond(db: BenchDatabase, jobs: number, due: string): Promise<number> {
  const [row] = await db.query<{seconds: number}>(
    `select extract(epoch from max(completed_at) - $1::timestamptz)::float8 as seconds from _ayb_jobs`,
    [due],
  )
  return jobs / (row?.seconds ?? Number.NaN)
}
