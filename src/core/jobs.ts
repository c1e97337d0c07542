import type {Database} from '../db/database.ts'
import * as jobs from '../db/jobs.ts'
import {jobNotFound, jobStateConflict} from '../lib/outcomes.ts'
import {
  type Job,
  type JobDocument,
  type JobState,
  type JobStats,
  LAST_INSTANT,
  type Pruned,
} from '../lib/records.ts'
import {requireSchedule} from './schedules.ts'

/** So many at a time, that no delete holds its locks for long. */
const PRUNE_BATCH = 1000

/**
 * The newest jobs first; `schedule` is the id or name of one.
 * @throws AybError SCHEDULE_NOT_FOUND
 */
export async function listJobs(
  db: Database,
  filter: {state: JobState | null; schedule: string | null; limit: number; offset?: number},
): Promise<Job[]> {
  const scheduleId = filter.schedule === null ? null : (await requireSchedule(db, filter.schedule)).id
  const {state, limit, offset = 0} = filter
  return jobs.listJobs(db, {state, scheduleId, limit, offset})
}

/**
 * One job.
 * @throws AybError JOB_NOT_FOUND
 */
export async function showJob(db: Database, id: string): Promise<JobDocument> {
  const job = await requireJob(db, id)
  const warnings =
    job.state === 'queued' && job.runAt === LAST_INSTANT
      ? [`the job is queued for a time that never comes; to be rid of it: ayb jobs cancel ${id}`]
      : []
  return {job, warnings: [...db.warnings, ...warnings]}
}

/**
 * Queues a failed job again, with all its attempts.
 * @throws AybError JOB_NOT_FOUND, JOB_STATE_CONFLICT
 */
export async function retryJob(db: Database, id: string): Promise<JobDocument> {
  await requireJob(db, id)
  await db.prepareTables()
  const job = await jobs.retryJob(db, id)
  if (!job) throw jobStateConflict(await requireJob(db, id), 'retry')
  return {job, warnings: [...db.warnings]}
}

/**
 * Cancels a queued job.
 * @throws AybError JOB_NOT_FOUND, JOB_STATE_CONFLICT
 */
export async function cancelJob(db: Database, id: string): Promise<JobDocument> {
  await requireJob(db, id)
  await db.prepareTables()
  const job = await jobs.cancelJob(db, id)
  if (!job) throw jobStateConflict(await requireJob(db, id), 'cancel')
  return {job, warnings: [...db.warnings]}
}

/** Deletes the jobs that ended longer ago than that, and their runs. */
export async function pruneJobs(db: Database, olderThanMs: number): Promise<Pruned> {
  db.requireWritable()
  let deleted = 0
  for (;;) {
    const batch = await jobs.deleteFinishedJobs(db, olderThanMs, PRUNE_BATCH)
    deleted += batch
    if (batch < PRUNE_BATCH) return {deleted, warnings: [...db.warnings]}
  }
}

/** How many jobs are in each state. */
export async function jobStats(db: Database): Promise<JobStats> {
  return {...(await jobs.countJobs(db)), warnings: [...db.warnings]}
}

async function requireJob(db: Database, id: string): Promise<Job> {
  const job = await jobs.findJob(db, id)
  if (!job) throw jobNotFound(id)
  return job
}
