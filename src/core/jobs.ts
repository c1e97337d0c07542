import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../db/database.ts'
import * as jobChanges from '../db/job-changes.ts'
import * as jobs from '../db/jobs.ts'
import {countOld, deleteFinishedJobs, deleteOldRuns, deleteOldSets, type PruneCount} from '../db/prune.ts'
import * as retry from '../db/queue/retry.ts'
import {dropOnAbort, withDeadline} from '../lib/abort.ts'
import {
  ambiguousJob,
  jobCanceled,
  jobDeleted,
  jobFailed,
  jobGoesOn,
  jobNotFound,
  jobStateConflict,
  jobWaitTimeout,
  parentComesFirst,
  queuedAlready,
} from '../lib/failures/jobs.ts'
import {isUuid, type ViewReference} from '../lib/identifier.ts'
import type {Job, JobDocument, JobState, JobStats, Pruned} from '../lib/records/jobs.ts'
import {LAST_INSTANT} from '../lib/records/values.ts'
import {remediable, type Unworded} from '../lib/unworded.ts'
import {cancelRunningJob} from './cancel-refresh.ts'
import {requireRegistration, requireSchedule} from './lookup.ts'

/** Rows that one statement deletes. Small batches keep locks short. */
const PRUNE_BATCH = 1000
/** An error names at most this many jobs. */
const MOST_NAMED_IDS = 3
/** Members are small rows without runs. What is left over goes the next time. */
const MOST_OLD_MEMBERS = 100_000

/**
 * The newest jobs first; `schedule` is the id or name of one.
 * @throws AybError SCHEDULE_NOT_FOUND; NOT_REGISTERED for the id of a view
 */
export async function listJobs(
  db: Database,
  filter: {
    state: JobState | null
    schedule: string | null
    view?: ViewReference | null
    search?: string | null
    limit: number
    offset?: number
  },
): Promise<Job[]> {
  const scheduleId = filter.schedule === null ? null : (await requireSchedule(db, filter.schedule)).id
  const {state, view = null, search = null, limit, offset = 0} = filter
  const name = view !== null && 'id' in view ? await requireRegistration(db, view) : view
  return jobs.listJobs(db, {state, scheduleId, view: name, search, limit, offset})
}

/**
 * One job, by its id or the beginning of it.
 * @throws AybError JOB_NOT_FOUND
 */
export async function showJob(db: Database, reference: string): Promise<Unworded<JobDocument>> {
  const job = await requireJob(db, reference)
  const warnings =
    job.state === 'queued' && job.runAt === LAST_INSTANT
      ? [
          remediable('the job is queued for a time that never comes', 'to be rid of it', {
            kind: 'cancel-job',
            jobId: job.id,
          }),
        ]
      : []
  return {job, warnings: [...db.takeWarnings(), ...warnings]}
}

/**
 * Queues a failed job again, or a canceled job of a set, with all its attempts.
 * @throws AybError JOB_NOT_FOUND, JOB_STATE_CONFLICT
 */
export async function retryJob(db: Database, reference: string): Promise<Unworded<JobDocument>> {
  const {id} = await requireJob(db, reference)
  await db.prepareTables()
  const job = await retry.retryJob(db, id)
  if (!job) {
    const before = await requireJob(db, id)
    const isCanceledMember = before.state === 'canceled' && before.setId !== null
    if (before.state !== 'failed' && !isCanceledMember) throw jobStateConflict(before, 'retry')
    const queuedId = await retry.findQueuedInstead(db, id)
    if (queuedId !== null) throw queuedAlready(before, queuedId)
    throw isCanceledMember ? parentComesFirst(before) : jobStateConflict(before, 'retry')
  }
  return {job, warnings: db.takeWarnings()}
}

/**
 * Cancels a job that is queued, waiting or running.
 * @throws AybError JOB_NOT_FOUND, JOB_STATE_CONFLICT; of a job that runs PERMISSION_DENIED, and
 * INVALID_ARGUMENT through a pooler
 */
export async function cancelJob(db: Database, reference: string): Promise<Unworded<JobDocument>> {
  const {id} = await requireJob(db, reference)
  await db.prepareTables()
  const job = (await jobChanges.cancelJob(db, id)) ?? (await cancelRunningJob(db, await requireJob(db, id)))
  if (!job) throw jobStateConflict(await requireJob(db, id), 'cancel')
  return {job, warnings: db.takeWarnings()}
}

const LOOK_AGAIN_MS = 500

/** How to wait for the end of a job. */
interface JobWait {
  /** Null waits without a limit. */
  timeoutMs: number | null
  /** Aborted with the AybError to end with. */
  signal: AbortSignal
  /** Called with the job each time that ayb has looked at the job. */
  onLook(job: Job): void
}

/**
 * Waits until a worker has completed the jobs, and returns them. A job that is queued again for a retry has
 * not ended. Ends when all jobs have ended; a failure counts before the cancellations that it has caused.
 * @throws AybError TIMEOUT, CANCELED and CONNECTION_LOST end the wait alone; JOB_STATE_CONFLICT where
 * somebody canceled a job, JOB_NOT_FOUND where somebody deleted a job; the error of a job that failed
 */
export async function waitForJobs(
  db: Database,
  queued: readonly Job[],
  {timeoutMs, ...wait}: JobWait,
): Promise<Job[]> {
  const startedAt = performance.now()
  const ended: Job[] = []
  for (const job of queued) {
    const leftMs = timeoutMs === null ? null : Math.max(1, timeoutMs - (performance.now() - startedAt))
    ended.push(await untilEnded(db, job, {timeoutMs, leftMs, ...wait}))
  }
  const failed = ended.find(({state}) => state === 'failed')
  if (failed) throw jobFailed(failed)
  const canceled = ended.find(({state}) => state === 'canceled')
  if (canceled) throw jobCanceled(canceled.id)
  return ended
}

/** The job when it has ended; `leftMs` is left of the timeout. */
async function untilEnded(
  db: Database,
  queued: Job,
  {timeoutMs, leftMs, signal, onLook}: JobWait & {leftMs: number | null},
): Promise<Job> {
  const {id} = queued
  let job = queued
  const look = async (ending: AbortSignal) => {
    while (job.state === 'queued' || job.state === 'running' || job.state === 'waiting') {
      await sleep(LOOK_AGAIN_MS, undefined, {signal: ending})
      const found = await jobs.findJob(db, id)
      if (!found) throw jobDeleted(id)
      job = found
      onLook(job)
    }
  }
  try {
    // The deadline also ends a look that waits for a lock on the table of jobs.
    await withDeadline(
      leftMs ?? undefined,
      () => jobWaitTimeout(job, timeoutMs ?? 0),
      signal,
      (ending) => dropOnAbort(db.session, ending, () => look(ending)),
    )
  } catch (error) {
    throw jobGoesOn(error, id)
  }
  return job
}

/** How old jobs and runs must be to be deleted, and how to go about it. */
export interface PruneOptions {
  olderThanMs: number
  /** Count what would be deleted, and delete nothing. */
  isDryRun: boolean
  /** Asked before anything is deleted; false leaves everything. Not asked where nothing is old enough. */
  confirm: ((count: PruneCount) => Promise<boolean>) | null
}

/** Deletes the jobs that ended longer ago than that with their runs, and every other run that is as old. */
export async function pruneJobs(
  db: Database,
  {olderThanMs, isDryRun, confirm}: PruneOptions,
): Promise<Unworded<Pruned>> {
  if (!isDryRun) db.requireWritable()
  const document = ({jobs, runs}: PruneCount): Unworded<Pruned> => ({
    deleted: jobs,
    deletedRuns: runs,
    warnings: db.takeWarnings(),
  })
  if (isDryRun) return document(await countOld(db, olderThanMs))
  if (confirm) {
    const count = await countOld(db, olderThanMs)
    const isWanted = count.jobs + count.runs === 0 || (await confirm(count))
    if (!isWanted) return document({jobs: 0, runs: 0})
  }
  const total = {jobs: 0, runs: 0}
  for (let jobs = PRUNE_BATCH; jobs >= PRUNE_BATCH; total.jobs += jobs) {
    const batch = await deleteFinishedJobs(db, olderThanMs, PRUNE_BATCH)
    jobs = batch.jobs
    total.runs += batch.runs
  }
  for (let runs = PRUNE_BATCH; runs >= PRUNE_BATCH; total.runs += runs) {
    runs = await deleteOldRuns(db, olderThanMs, PRUNE_BATCH)
  }
  await deleteOldSets(db, olderThanMs, MOST_OLD_MEMBERS)
  return document(total)
}

/** How many jobs are in each state. */
export async function jobStats(db: Database): Promise<Unworded<JobStats>> {
  return {...(await jobs.countJobs(db)), warnings: db.takeWarnings()}
}

/** @throws AybError JOB_NOT_FOUND; INVALID_ARGUMENT where the ids of several jobs begin so */
async function requireJob(db: Database, reference: string): Promise<Job> {
  const ids = isUuid(reference) ? [reference] : await jobs.findJobIds(db, reference, MOST_NAMED_IDS + 1)
  if (ids.length > 1) throw ambiguousJob(reference, ids, MOST_NAMED_IDS)
  const job = ids[0] === undefined ? null : await jobs.findJob(db, ids[0])
  if (!job) throw jobNotFound(reference)
  return job
}
