import {expect} from 'vitest'
import type {Job, JobState, Schedule, ScheduleDocument} from '../../src/lib/records.ts'
import type {TestDatabase} from './database.ts'
import {documentOf, keysOf} from './documents.ts'

/** The keys of a schedule and of a job in JSON, in the order in which they are printed. */
export const SCHEDULE_KEYS = [
  'id',
  'name',
  'jobType',
  'payload',
  'cronExpr',
  'timezone',
  'enabled',
  'maxAttempts',
  'nextRunAt',
  'lastRunAt',
  'createdAt',
  'updatedAt',
]
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
]

/** Creates a schedule of the example's view by command, at three in the morning UTC where nothing else is said. */
export async function createSchedule(
  db: TestDatabase,
  name: string,
  {cron = '0 3 * * *', view = 'leaderboard', more = [] as string[]} = {},
): Promise<Schedule> {
  const args = ['schedules', 'create', '--name', name, '--cron', cron, '--view', view, ...more]
  return (await documentOf<ScheduleDocument>(args, db)).schedule
}

/** Adds a schedule of another type, as another program on the same tables would. */
export async function insertForeignSchedule(db: TestDatabase, name: string): Promise<string> {
  const rows = await db.query<{id: string}>(
    `insert into _ayb_job_schedules (name, job_type, cron_expr, payload)
     values ($1, 'send_mail', '0 * * * *', '{"view_name": "leaderboard"}')
  returning id`,
    [name],
  )
  return (rows[0] as {id: string}).id
}

/** What a test says about a job that it puts into the table; ages in seconds. */
interface JobRow {
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
export async function insertAgedJob(db: TestDatabase, row: JobRow = {}): Promise<string> {
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

/** As the table has it. */
export async function stateOf(db: TestDatabase, id: string): Promise<string | undefined> {
  const rows = await db.query<{state: string}>('select state from _ayb_jobs where id = $1', [id])
  return rows[0]?.state
}

/** A next run that is never computed: whoever computes it anew overwrites it. */
const MARK = '2031-05-06T07:08:09.123456+00'

/** Creates a schedule whose next run shows whether it was computed anew. */
export async function createMarked(db: TestDatabase, name: string): Promise<string> {
  const {id} = await createSchedule(db, name)
  await db.query('update _ayb_job_schedules set next_run_at = $2 where id = $1', [id, MARK])
  return id
}

/** Whether its next run is still the one that createMarked put there, to the microsecond. */
export async function isMarked(db: TestDatabase, id: string): Promise<boolean> {
  const rows = await db.query('select from _ayb_job_schedules where id = $1 and next_run_at = $2', [id, MARK])
  return rows.length === 1
}

/** The next midnight in UTC by the server's clock. */
export async function serverMidnight(db: TestDatabase): Promise<string> {
  const rows = await db.query<{midnight: Date}>(
    `select date_trunc('day', now() at time zone 'utc') at time zone 'utc' + interval '1 day' as midnight`,
  )
  return (rows[0] as {midnight: Date}).midnight.toISOString()
}

/** Runs one of the commands that answer with a schedule, without a warning. */
export async function changeSchedule(
  db: TestDatabase,
  command: string,
  schedule: string,
  ...args: string[]
): Promise<Schedule> {
  const document = await documentOf<ScheduleDocument>(['schedules', command, schedule, ...args], db)
  expect(keysOf(document)).toEqual(['schedule', 'warnings'])
  expect(keysOf(document.schedule)).toEqual(SCHEDULE_KEYS)
  expect(document.warnings).toEqual([])
  return document.schedule
}
