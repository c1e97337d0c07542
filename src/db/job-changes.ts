import {JOB_TYPE, type Job} from '../lib/records/jobs.ts'
import type {Database} from './database.ts'
import {findJob, type JobRow, selectJob, toJob} from './jobs.ts'
import {isLook, keyByHand, runAtByHand} from './queue/looks.ts'
import {advanceSets} from './queue/set-progress.ts'
import {cancelWaiting, lockSets} from './queue/sets.ts'
import {wakeWorkers} from './queue/wake.ts'

/**
 * Returns the queued job of a schedule, which becomes due now, or creates a job. A job that a promise made is
 * deleted at its end, unless somebody has asked for the job: so this marks the job as asked for. Call this in
 * a transaction that holds the row of the schedule, so that no other session creates a second job. It updates
 * the row, so that a worker that read the row before does not create a second job either.
 */
export async function enqueueJob(db: Database, scheduleId: string): Promise<Job> {
  const rowsQueued = await db.session.query<JobRow & {is_look: boolean}>(
    `select ${selectJob(db, 'j')}, ${isLook('j')} as is_look
       from ${db.tables.jobs} j
      where j.schedule_id = $1 and j.state = 'queued' and j.type = '${JOB_TYPE}'
      order by j.run_at
      limit 1`,
    [scheduleId],
  )
  const isQueuedLook = rowsQueued[0]?.is_look === true
  const [queued] = rowsQueued.map(toJob)
  if (queued) {
    const advanced = await db.session.query<JobRow>(
      `update ${db.tables.jobs} as j
          set run_at = ${runAtByHand('j')}, idempotency_key = ${keyByHand('j')}, updated_at = now()
        where j.id = $1 and j.state = 'queued'
    returning ${selectJob(db, 'j')}`,
      [queued.id],
    )
    await wakeWorkers(db.session)
    if (advanced[0]) return toJob(advanced[0])
    // A worker may have claimed it in between: a look may leave no job.
    if (!isQueuedLook) return queued
  }
  const rows = await db.session.query<JobRow>(
    `with s as (
       update ${db.tables.schedules} set last_run_at = clock_timestamp(), updated_at = clock_timestamp() where id = $1
       returning id, payload, max_attempts)
     insert into ${db.tables.jobs} as j (type, payload, max_attempts, schedule_id)
     select '${JOB_TYPE}', s.payload, s.max_attempts, s.id from s
  returning ${selectJob(db, 'j')}`,
    [scheduleId],
  )
  await wakeWorkers(db.session)
  return toJob(rows[0] as JobRow)
}

/** Cancels a job that is queued, or waits; null where it is neither. */
export async function cancelJob(db: Database, id: string): Promise<Job | null> {
  return db.session.transaction(async () => {
    const {isLocked} = await lockSets(db, {jobId: id})
    const job = await cancelQueued(db, id)
    const isCanceled = job !== null || (isLocked && (await cancelWaiting(db, id)))
    if (isLocked && isCanceled) await advanceSets(db, {jobId: id})
    return isCanceled ? findJob(db, id) : null
  })
}

async function cancelQueued(db: Database, id: string): Promise<Job | null> {
  const rows = await db.session.query<JobRow>(
    `update ${db.tables.jobs} as j
        set state = 'canceled', canceled_at = now(), updated_at = now()
      where j.id = $1 and j.type = '${JOB_TYPE}' and j.state = 'queued'
  returning ${selectJob(db, 'j')}`,
    [id],
  )
  return rows[0] ? toJob(rows[0]) : null
}

/**
 * Cancels the queued jobs of schedules that are about to be disabled or deleted. Their sets are canceled
 * behind that, with advanceSets.
 */
export async function cancelQueuedJobs(db: Database, scheduleIds: readonly string[]): Promise<void> {
  await lockSets(db, {scheduleIds})
  await db.session.query(
    `update ${db.tables.jobs} as j
        set state = 'canceled', canceled_at = now(), updated_at = now()
      where j.schedule_id = any ($1::uuid[]) and j.type = '${JOB_TYPE}' and j.state = 'queued'`,
    [scheduleIds],
  )
}

/**
 * Makes the running attempts of the jobs of schedules the last ones, before the schedules are deleted. If the
 * worker dies later, nobody could tell that the job had a schedule, and the job would be tried again.
 */
export async function endRetries(db: Database, scheduleIds: readonly string[]): Promise<void> {
  await db.session.query(
    `update ${db.tables.jobs} as j
        set max_attempts = greatest(j.attempts, 1)
      where j.schedule_id = any ($1::uuid[]) and j.type = '${JOB_TYPE}' and j.state = 'running' and j.attempts < j.max_attempts`,
    [scheduleIds],
  )
}
