import {parseExactly} from '../lib/exact-json.ts'
import {JOB_TYPE, type Job, type JobState, type JobStats} from '../lib/records.ts'
import {columns, errorText, instant, plain, type Stored} from './columns.ts'
import type {Database} from './database.ts'
import {withinDocuments} from './instant.ts'
import {payloadJson} from './payload.ts'
import {wakeWorkers} from './queue/wake.ts'

const JOB = columns<Job>({
  id: plain('id'),
  type: plain('type'),
  payload: {
    sql: (alias) => payloadJson(`${alias}.payload`),
    read: (stored) => parseExactly(stored as string),
  },
  state: plain('state'),
  runAt: instant('run_at'),
  attempts: plain('attempts'),
  maxAttempts: plain('max_attempts'),
  lastError: errorText('last_error'),
  workerId: plain('worker_id'),
  leaseUntil: instant('lease_until'),
  scheduleId: plain('schedule_id'),
  createdAt: instant('created_at'),
  updatedAt: instant('updated_at'),
  lastRunAt: instant('last_run_at'),
  completedAt: instant('completed_at'),
  canceledAt: instant('canceled_at'),
})

type JobRow = Stored<Job>

/** Which jobs to list; null means all. */
export interface JobFilter {
  state: JobState | null
  scheduleId: string | null
  limit: number
  /** How many of the newest jobs to skip. */
  offset?: number
}

/** The job of that id, of our type; null where there is none, or no table yet. */
export async function findJob(db: Database, id: string): Promise<Job | null> {
  if (!db.has('jobs')) return null
  const rows = await db.session.query<JobRow>(
    `select ${JOB.select('j')}
       from ${db.tables.jobs} j
      where j.id = $1 and j.type = '${JOB_TYPE}'`,
    [id],
  )
  return rows[0] ? JOB.toRecord(rows[0]) : null
}

/** The newest jobs first. */
export async function listJobs(
  db: Database,
  {state, scheduleId, limit, offset = 0}: JobFilter,
): Promise<Job[]> {
  if (!db.has('jobs')) return []
  const rows = await db.session.query<JobRow>(
    `select ${JOB.select('j')}
       from (select * from ${db.tables.jobs} j
              where j.type = '${JOB_TYPE}'
                and ($1::text is null or j.state = $1)
                and ($2::uuid is null or j.schedule_id = $2)
              order by j.created_at desc, j.id
              limit $3
             offset $4) j
      order by j.created_at desc, j.id`,
    [state, scheduleId, limit, offset],
  )
  return rows.map(JOB.toRecord)
}

/**
 * The queued job of a schedule, or a new job. A queued job that waits for a retry becomes due now. Within a
 * transaction that holds the row of the schedule, so that no other session creates a second job; touches the
 * row, so that a worker that read the row before does not create a second job either.
 */
export async function enqueueJob(db: Database, scheduleId: string): Promise<Job> {
  const rowsQueued = await db.session.query<JobRow>(
    `select ${JOB.select('j')}
       from ${db.tables.jobs} j
      where j.schedule_id = $1 and j.state = 'queued' and j.type = '${JOB_TYPE}'
      order by j.run_at
      limit 1`,
    [scheduleId],
  )
  const [queued] = rowsQueued.map(JOB.toRecord)
  if (queued) {
    const advanced = await db.session.query<JobRow>(
      `update ${db.tables.jobs} as j
          set run_at = now(), updated_at = now()
        where j.id = $1 and j.state = 'queued' and j.run_at > now()
    returning ${JOB.select('j')}`,
      [queued.id],
    )
    await wakeWorkers(db.session)
    // A worker may have claimed it in between.
    return advanced[0] ? JOB.toRecord(advanced[0]) : queued
  }
  const rows = await db.session.query<JobRow>(
    `with s as (
       update ${db.tables.schedules} set updated_at = clock_timestamp() where id = $1
       returning id, payload, max_attempts)
     insert into ${db.tables.jobs} as j (type, payload, max_attempts, schedule_id)
     select '${JOB_TYPE}', s.payload, s.max_attempts, s.id from s
  returning ${JOB.select('j')}`,
    [scheduleId],
  )
  await wakeWorkers(db.session)
  return JOB.toRecord(rows[0] as JobRow)
}

/** Queues a failed job again, with its full number of attempts; null if the job is not failed. */
export async function retryJob(db: Database, id: string): Promise<Job | null> {
  return db.session.transaction(async () => {
    // Queuing a job of a schedule needs the lock of its row.
    await db.session.query(
      `select from ${db.tables.schedules} s
        where s.id = (select j.schedule_id from ${db.tables.jobs} j where j.id = $1)
          for no key update`,
      [id],
    )
    const rows = await db.session.query<JobRow>(
      `update ${db.tables.jobs} as j
          set state = 'queued', attempts = 0, run_at = now(), last_error = null, lease_until = null,
              worker_id = null, completed_at = null, canceled_at = null, updated_at = now()
        where j.id = $1 and j.type = '${JOB_TYPE}' and j.state = 'failed'
          and not exists (select from ${db.tables.jobs} q where q.schedule_id = j.schedule_id and q.state = 'queued')
    returning ${JOB.select('j')}`,
      [id],
    )
    await wakeWorkers(db.session)
    return rows[0] ? JOB.toRecord(rows[0]) : null
  })
}

/** The id of the job that the schedule has queued; null where it has none. */
export async function findQueuedJob(db: Database, scheduleId: string): Promise<string | null> {
  const rows = await db.session.query<{id: string}>(
    `select j.id from ${db.tables.jobs} j where j.schedule_id = $1 and j.state = 'queued' limit 1`,
    [scheduleId],
  )
  return rows[0]?.id ?? null
}

/** Cancels a queued job; null where it is not queued. */
export async function cancelJob(db: Database, id: string): Promise<Job | null> {
  const rows = await db.session.query<JobRow>(
    `update ${db.tables.jobs} as j
        set state = 'canceled', canceled_at = now(), updated_at = now()
      where j.id = $1 and j.type = '${JOB_TYPE}' and j.state = 'queued'
  returning ${JOB.select('j')}`,
    [id],
  )
  return rows[0] ? JOB.toRecord(rows[0]) : null
}

/** Cancels the queued jobs of a schedule. */
export async function cancelQueuedJobs(db: Database, scheduleId: string): Promise<void> {
  await db.session.query(
    `update ${db.tables.jobs} as j
        set state = 'canceled', canceled_at = now(), updated_at = now()
      where j.schedule_id = $1 and j.type = '${JOB_TYPE}' and j.state = 'queued'`,
    [scheduleId],
  )
}

/**
 * Makes the attempts that run of a schedule their jobs' last, for a schedule that is deleted: behind that,
 * nobody who finds such a job without its worker could tell that it had a schedule.
 */
export async function endRetries(db: Database, scheduleId: string): Promise<void> {
  await db.session.query(
    `update ${db.tables.jobs} as j
        set max_attempts = greatest(j.attempts, 1)
      where j.schedule_id = $1 and j.type = '${JOB_TYPE}' and j.state = 'running' and j.attempts < j.max_attempts`,
    [scheduleId],
  )
}

/** How many jobs cancelQueuedJobs would cancel. */
export async function countQueuedJobs(db: Database, scheduleId: string): Promise<number> {
  if (!db.has('jobs')) return 0
  const rows = await db.session.query<{jobs: number}>(
    `select count(*)::int as jobs
       from ${db.tables.jobs} j
      where j.schedule_id = $1 and j.type = '${JOB_TYPE}' and j.state = 'queued'`,
    [scheduleId],
  )
  return rows[0]?.jobs ?? 0
}

/** How many jobs are in each state, and how old the oldest queued one is. */
export async function countJobs(db: Database): Promise<Omit<JobStats, 'warnings'>> {
  const none = {queued: 0, running: 0, completed: 0, failed: 0, canceled: 0, oldestQueuedAgeSec: null}
  if (!db.has('jobs')) return none
  const rows = await db.session.query<{state: JobState; jobs: number; oldest_sec: number}>(
    `select j.state, count(*)::int as jobs,
            greatest(0, floor(extract(epoch from now() - ${withinDocuments('min(j.created_at)')})))::float8 as oldest_sec
       from ${db.tables.jobs} j
      where j.type = '${JOB_TYPE}'
      group by j.state`,
  )
  const counts = Object.fromEntries(rows.map((row) => [row.state, row.jobs]))
  const oldest = rows.find((row) => row.state === 'queued')?.oldest_sec ?? null
  return {...none, ...counts, oldestQueuedAgeSec: oldest}
}
