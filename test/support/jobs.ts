import {JOB_STATES, type Job, type JobState} from '../../src/lib/records/jobs.ts'
import type {TestDatabase} from './database.ts'
import {PATIENCE_MS, until} from './until.ts'

/** The keys of a job in JSON, in the order in which they are printed. */
export const JOB_KEYS = [
  'id',
  'type',
  'payload',
  'state',
  'runAt',
  'attempts',
  'maxAttempts',
  'lastError',
  'workerId',
  'leaseUntil',
  'scheduleId',
  'createdAt',
  'updatedAt',
  'lastRunAt',
  'completedAt',
  'canceledAt',
  'setId',
  'waitingFor',
]

/** The states that a row of the table of jobs can have. */
export const STORED_STATES = JOB_STATES.filter((state) => state !== 'waiting')

/** A row of the table of jobs. */
export interface JobRow {
  id: string
  state: string
  attempts: number
  max_attempts: number
  worker_id: string | null
  lease_until: Date | null
  last_error: string | null
  run_at: Date
  completed_at: Date | null
  schedule_id: string | null
}

/** A job as somebody else may have written it, without telling any worker. Returns the id. */
export async function insertJob(
  db: TestDatabase,
  payload: unknown,
  values: Record<string, string | number | null> = {},
): Promise<string> {
  const columns = {type: 'materialized_view_refresh', payload: JSON.stringify(payload), ...values}
  const names = Object.keys(columns)
  const [row] = await db.query<{id: string}>(
    `insert into _ayb_jobs (${names.join(', ')})
     values (${names.map((_, position) => `$${position + 1}`).join(', ')}) returning id`,
    Object.values(columns),
  )
  return (row as {id: string}).id
}

/**
 * When an attempt began that a worker lost: too long ago to pass for a claim that is being answered, and not
 * so long ago that retention deletes the run as soon as it is recorded.
 */
export const lostSince = (): string => new Date(Date.now() - 60_000).toISOString()

export async function jobOf(db: TestDatabase, id: string): Promise<JobRow> {
  const [row] = await db.query<JobRow>('select * from _ayb_jobs where id = $1', [id])
  if (!row) throw new Error(`there is no job ${id}`)
  return row
}

/** Waits until a job is as it should be. */
export async function untilJob(
  db: TestDatabase,
  id: string,
  isIt: (job: JobRow) => boolean,
  what: string,
): Promise<JobRow> {
  let last: JobRow | undefined
  return until(
    async () => {
      last = await jobOf(db, id)
      return isIt(last) && last
    },
    {what: `job ${id} to be ${what}`, timeoutMs: PATIENCE_MS},
  ).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last)}`)
  })
}

/** Waits until a job is in that state. */
export const untilState = (db: TestDatabase, id: string, state: string): Promise<JobRow> =>
  untilJob(db, id, (job) => job.state === state, state)

/** How the runs of a job ended, oldest first. */
export async function runsOfJob(db: TestDatabase, id: string) {
  return db.query<{status: string; worker_id: string | null; error: string | null; trigger: string}>(
    'select status, worker_id, error, trigger from _ayb_matview_refresh_runs where job_id = $1 order by started_at',
    [id],
  )
}

/** What a test says about a job that it puts into the table; ages in seconds. */
interface AgedJob {
  state?: JobState
  type?: string
  scheduleId?: string | null
  attempts?: number
  createdAge?: number
  /** Since it was completed, or canceled, or last changed where it failed. */
  endedAge?: number
  lastError?: string | null
}

/** Puts a job into the table, and returns its id. */
export async function insertAgedJob(db: TestDatabase, row: AgedJob = {}): Promise<string> {
  const state = row.state ?? 'queued'
  const ended = row.endedAge ?? 0
  const rows = await db.query<{id: string}>(
    `insert into _ayb_jobs (type, payload, state, schedule_id, attempts, last_error, created_at, updated_at,
                            completed_at, canceled_at)
     values ($1, '{"schema": "public", "view_name": "leaderboard"}', $2::text, $3, $4, $5, now() - $6::float * interval '1 s',
             now() - $7::float * interval '1 s',
             case when $2::text = 'completed' then now() - $7::float * interval '1 s' end,
             case when $2::text = 'canceled' then now() - $7::float * interval '1 s' end)
  returning id`,
    [
      row.type ?? 'materialized_view_refresh',
      state,
      row.scheduleId ?? null,
      row.attempts ?? 0,
      row.lastError ?? null,
      row.createdAge ?? ended,
      ended,
    ],
  )
  return (rows[0] as {id: string}).id
}

/** The jobs by age, oldest first, as the table has them. */
export const jobRows = (db: TestDatabase) =>
  db.query<{id: string; state: JobState; schedule_id: string | null}>(
    'select id, state, schedule_id from _ayb_jobs order by created_at, id',
  )

export const idsOf = (jobs: readonly Pick<Job, 'id'>[]): string[] => jobs.map(({id}) => id)
