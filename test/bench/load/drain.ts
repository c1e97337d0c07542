import {setTimeout as sleep} from 'node:timers/promises'
import {type BenchDatabase, startBenchWorker} from '../server.ts'
import {createSchedules} from './schedules.ts'

/** From the creation of the schedules to when they are due: the worker is up and idle by then. */
const LEAD_MS = 5000
const LOOK_EVERY_MS = 200
const DEADLINE_MS = 300_000

/**
 * How many refreshes a second one worker does when so many schedules are due at one instant: from then to the end of
 * the last job, by the database's clock. What else is in the database may be a lot: it is not looked at.
 * @throws Error where any of them did not succeed
 */
export async function drain(
  db: BenchDatabase,
  {jobs, slots}: {jobs: number; slots: number},
): Promise<number> {
  const worker = await startBenchWorker(db, {slots})
  try {
    const dueAt = await createSchedules(db, {count: jobs, inMs: LEAD_MS, intervalMs: 0})
    await sleep(LEAD_MS)
    await untilDone(db)
    return jobs / ((await lastEndOf(db, jobs)) / 1000 - dueAt / 1000)
  } finally {
    await worker.stop()
  }
}

/** All that is looked at is in small indexes. */
async function untilDone(db: BenchDatabase): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    const [row] = await db.query<{is_done: boolean}>(
      `select not exists (select from _ayb_job_schedules
                           where enabled and job_type = 'materialized_view_refresh' and next_run_at <= now())
              and not exists (select from _ayb_jobs where state = 'running')
              and not exists (select from _ayb_jobs where state = 'queued') as is_done`,
    )
    if (row?.is_done) return
    if (performance.now() > deadline) throw new Error(`not all jobs were done in ${DEADLINE_MS} ms`)
    await sleep(LOOK_EVERY_MS)
  }
}

/** In milliseconds since 1970. */
async function lastEndOf(db: BenchDatabase, jobs: number): Promise<number> {
  const [row] = await db.query<{successes: number; last_ms: number}>(
    `select count(*)::int as successes, extract(epoch from max(j.completed_at))::float8 * 1000 as last_ms
       from bench_due d
       join _ayb_jobs j on j.schedule_id = d.schedule_id and j.state = 'completed'
       join _ayb_matview_refresh_runs r on r.job_id = j.id and r.status = 'success'`,
  )
  if (row?.successes !== jobs) throw new Error(`${row?.successes} of ${jobs} refreshes succeeded`)
  return row.last_ms
}
