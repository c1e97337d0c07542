import {setTimeout as sleep} from 'node:timers/promises'
import type {PostgresServer} from '../../support/postgres.ts'
import {startMeter} from '../processor.ts'
import type {Rate} from '../rates.ts'
import {
  type BenchDatabase,
  type BenchWorker,
  createBenchDatabase,
  type Mode,
  startBenchWorker,
  untilAlmost,
} from '../server.ts'
import {createSchedules} from './schedules.ts'

/**
 * From the creation of schedules or jobs to when they are due: whoever is to run them is up and idle by then.
 */
export const LEAD_MS = 5000
/** The server time of a look counts as server time of the jobs: 0.65 ms on a loaded machine. */
const LOOK_EVERY_MS = 1000
const DEADLINE_MS = 300_000

/** What is drained, and by whom. */
export interface Drain {
  jobs: number
  /** Of each worker. */
  slots: number
  /** One without it. */
  workers?: number
  /** This Node.js without it. */
  node?: string
}

/** As drainIn, in a database that has nothing else and goes afterwards. */
export async function drainWithAyb(server: PostgresServer, drain: Drain & {mode: Mode}): Promise<Rate> {
  const db = await createBenchDatabase(server, {mode: drain.mode})
  try {
    return await drainIn(server, db, drain)
  } finally {
    await db.drop()
  }
}

/**
 * How many refreshes a second ayb does when so many schedules are due at one instant, several a view: from
 * then to the end of the last job, by the database's clock. What else is in the database may be a lot: it is
 * not looked at.
 * @throws Error where any of them did not succeed, once
 */
export async function drainIn(
  server: PostgresServer,
  db: BenchDatabase,
  {jobs, slots, workers: count = 1, node = process.execPath}: Drain,
): Promise<Rate> {
  const workers: BenchWorker[] = []
  try {
    while (workers.length < count) workers.push(await startBenchWorker(db, {slots, node}))
    const dueAt = await createSchedules(db, {count: jobs, inMs: LEAD_MS, intervalMs: 0})
    await untilAlmost(db, dueAt)
    const usedSince = startMeter(
      server,
      workers.map(({pid}) => pid),
    )
    await untilDone(db, dueAt)
    const each = usedSince(jobs)
    const perSecond = (jobs / ((await lastEndOf(db, jobs)) - dueAt)) * 1000
    await Promise.all(workers.map((worker) => worker.stop()))
    return {perSecond, each}
  } finally {
    for (const worker of workers) worker.kill('SIGKILL')
    await Promise.all(workers.map(({ended}) => ended))
  }
}

/**
 * Waits until all that was due has ended. All that is looked at is in small indexes. `dueAt`: milliseconds
 * since 1970.
 */
export async function untilDone(db: BenchDatabase, dueAt: number): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    await sleep(LOOK_EVERY_MS)
    const [row] = await db.query<{is_done: boolean}>(
      `select not exists (select from _ayb_job_schedules
                           where enabled and job_type = 'materialized_view_refresh'
                             and next_run_at <= greatest(now(), to_timestamp($1::float8 / 1000)))
              and not exists (select from _ayb_jobs where state = 'running')
              and not exists (select from _ayb_jobs where state = 'queued') as is_done`,
      [dueAt],
    )
    if (row?.is_done) return
    if (performance.now() > deadline) throw new Error(`not all jobs were done in ${DEADLINE_MS} ms`)
  }
}

/** In milliseconds since 1970. */
async function lastEndOf(db: BenchDatabase, jobs: number): Promise<number> {
  const [row] = await db.query<{successes: number; schedules: number; last_ms: number}>(
    `select count(*)::int as successes, count(distinct d.schedule_id)::int as schedules,
            extract(epoch from max(j.completed_at))::float8 * 1000 as last_ms
       from bench_due d
       join _ayb_jobs j on j.schedule_id = d.schedule_id and j.state = 'completed'
       join _ayb_matview_refresh_runs r on r.job_id = j.id and r.status = 'success'`,
  )
  if (row?.successes !== jobs || row.schedules !== jobs) {
    throw new Error(`of ${jobs} schedules, ${row?.schedules} were refreshed, ${row?.successes} times`)
  }
  return row.last_ms
}
