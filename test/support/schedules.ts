import {expect} from 'vitest'
import type {Schedule, ScheduleDocument} from '../../src/lib/records/schedules.ts'
import type {TestDatabase} from './database.ts'
import {documentOf, keysOf} from './documents.ts'

/** The keys of a schedule in JSON, in the order in which they are printed. */
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
  'scope',
  'maxAgeMs',
  'jitterMs',
  'catchUp',
  'notDuring',
]

/**
 * Creates a schedule of the example's view by command, at three in the morning UTC where nothing else is
 * said.
 */
export async function createSchedule(
  db: TestDatabase,
  name: string,
  {cron = '0 3 * * *', view = 'leaderboard', more = [] as string[]} = {},
): Promise<Schedule> {
  const args = ['schedules', 'create', '--name', name, '--cron', cron, '--view', view, ...more]
  return (await documentOf<ScheduleDocument>(args, db)).schedule
}

/** Has a worker behind a pooler look alive for half an hour, so that nothing warns that there is none. */
export const pretendWorker = (db: {query(sql: string): Promise<unknown>}) =>
  db.query(
    `insert into _ayb_workers (id, host, pid, version, slots, poll_interval_ms, is_pooled, started_at, last_seen_at)
     values ('ayb:pooled-0123456789abcdef:pretended:1', 'pretended', 1, '0.0.0', 1, 5000, true, now(), now() + interval '30 min')`,
  )

/** A schedule as somebody else may have written it; `nextRunAt` is SQL. Returns the id. */
export async function insertSchedule(
  db: TestDatabase,
  name: string,
  values: {
    view?: string
    cron?: string
    timezone?: string
    nextRunAt?: string
    type?: string
    maxAttempts?: number
  },
): Promise<string> {
  const {cron = '0 0 1 1 *', timezone = 'UTC', nextRunAt = 'now()', maxAttempts = 3} = values
  const {type = 'materialized_view_refresh'} = values
  const [row] = await db.query<{id: string}>(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, timezone, max_attempts, next_run_at)
     values ($1, $2, $3, $4, $5, $6, ${nextRunAt}) returning id`,
    [name, type, JSON.stringify({view_name: values.view}), cron, timezone, maxAttempts],
  )
  return (row as {id: string}).id
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
