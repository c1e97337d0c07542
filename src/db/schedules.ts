import {parseExactly} from '../lib/exact-json.ts'
import {unencodableSchedule} from '../lib/failures/schedules.ts'
import {scopeOfPayload} from '../lib/payload.ts'
import {JOB_TYPE, type JobScope} from '../lib/records/jobs.ts'
import type {RunStatus} from '../lib/records/runs.ts'
import type {ListedSchedule, Schedule} from '../lib/records/schedules.ts'
import type {ViewName} from '../lib/records/values.ts'
import {columns, instant, plain, type Stored} from './columns.ts'
import type {Database} from './database.ts'
import {isUnencodable, noneIfUnencodable} from './encoding.ts'
import {byNearness, MOST_NEAR_NAMES, typedPairs} from './near-names.ts'
import {payloadJson, viewInPayload} from './payload.ts'
import {wakeWorkers} from './queue/wake.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'

type StoredSchedule = Omit<Schedule, 'scope'>

const SCHEDULE = columns<StoredSchedule>({
  id: plain('id'),
  name: plain('name'),
  jobType: plain('job_type'),
  payload: {
    sql: (alias) => payloadJson(`${alias}.payload`),
    read: (stored) => parseExactly(stored as string),
  },
  cronExpr: plain('cron_expr'),
  timezone: plain('timezone'),
  enabled: plain('enabled'),
  maxAttempts: plain('max_attempts'),
  nextRunAt: instant('next_run_at'),
  lastRunAt: instant('last_run_at'),
  createdAt: instant('created_at'),
  updatedAt: instant('updated_at'),
})

type ScheduleRow = Stored<StoredSchedule>

function toSchedule(row: ScheduleRow): Schedule {
  const stored = SCHEDULE.toRecord(row)
  return {...stored, scope: scopeOfPayload(stored.payload)}
}

/** The name of a schedule, as on a command line. */
export type ScheduleReference = {id: string} | {name: string}

/** A schedule to create. */
export interface ScheduleSettings {
  name: string
  payload: unknown
  cronExpr: string
  timezone: string
  enabled: boolean
  maxAttempts: number
  /** ISO 8601; null while it is disabled. */
  nextRunAt: string | null
}

/** Changes of a schedule; undefined fields stay. */
export type ScheduleUpdate = {[Key in keyof ScheduleSettings]: ScheduleSettings[Key] | undefined} & {
  /** Of the payload; null takes it away. */
  scope?: JobScope | null | undefined
}

/** The schedule of that id or name, of our type; null where there is none, or no table yet. */
export async function findSchedule(db: Database, reference: ScheduleReference): Promise<Schedule | null> {
  if (!db.has('schedules')) return null
  const [condition, value] = 'id' in reference ? ['s.id = $1', reference.id] : ['s.name = $1', reference.name]
  const found = db.session.query<ScheduleRow>(
    `select ${SCHEDULE.select('s')}
       from ${db.tables.schedules} s
      where ${condition} and s.job_type = '${JOB_TYPE}'`,
    [value],
  )
  const rows = await found.catch(noneIfUnencodable(value, []))
  return rows[0] ? toSchedule(rows[0]) : null
}

/** findSchedule with a row lock: no other session can change the schedule until the transaction ends. */
export async function lockSchedule(db: Database, id: string): Promise<Schedule | null> {
  const rows = await db.session.query<ScheduleRow>(
    `select ${SCHEDULE.select('s')}
       from ${db.tables.schedules} s
      where s.id = $1 and s.job_type = '${JOB_TYPE}'
        for update`,
    [id],
  )
  return rows[0] ? toSchedule(rows[0]) : null
}

/** Remembers that a run was asked for; for schedules whose job did not write that. */
export async function recordRun(db: Database, id: string): Promise<void> {
  await db.session.query(
    `update ${db.tables.schedules} set last_run_at = clock_timestamp(), updated_at = clock_timestamp() where id = $1`,
    [id],
  )
}

/** lockSchedule for several, without their rows. */
export async function lockSchedules({session, tables}: Database, ids: readonly string[]): Promise<void> {
  await session.query(
    `select from ${tables.schedules} s where s.id = any ($1::uuid[]) order by s.name for update`,
    [ids],
  )
}

/** All schedules of our type by name. */
export async function findSchedules(db: Database): Promise<Schedule[]> {
  if (!db.has('schedules')) return []
  const rows = await db.session.query<ScheduleRow>(
    `select ${SCHEDULE.select('s')}
       from ${db.tables.schedules} s
      where s.job_type = '${JOB_TYPE}'
      order by s.name`,
  )
  return rows.map(toSchedule)
}

/** All schedules of our type by name, each with the result of its last run. */
export async function listSchedules(db: Database): Promise<ListedSchedule[]> {
  if (!db.has('schedules')) return []
  // By the job's own time first, as its index has it: 100 schedules of 2,000 jobs each took 30 s without, now
  // 4 ms.
  const lastRun =
    db.has('jobs') && db.has('runs')
      ? `coalesce(${lastRunOfSet(db)},
                  (select h.status from ${db.tables.jobs} j join ${db.tables.runs} h on h.job_id = j.id
                    where j.schedule_id = s.id and j.last_run_at is not null
                    order by j.last_run_at desc, h.started_at desc limit 1))`
      : 'null'
  const rows = await db.session.query<ScheduleRow & {last_run_status: RunStatus | null}>(
    `select ${SCHEDULE.select('s')}, ${lastRun} as last_run_status
       from ${db.tables.schedules} s
      where s.job_type = '${JOB_TYPE}'
      order by s.name`,
  )
  return rows.map((row) => {
    const {scope, ...schedule} = toSchedule(row)
    return {...schedule, lastRunStatus: row.last_run_status, scope}
  })
}

/** SQL: how the last run of the last set of the schedule under alias `s` ended, of those that failed if any did. */
const lastRunOfSet = (db: Database): string =>
  db.mayRead('edges')
    ? `(select h.status from ${db.tables.edges} e join ${db.tables.runs} h on h.job_id = e.job_id
         where e.set_id = (select l.set_id from ${db.tables.edges} l where l.schedule_id = s.id order by l.created_at desc limit 1)
         order by h.status = 'error' desc, h.started_at desc limit 1)`
    : 'null::text'

/** The schedules that refresh a view. */
export const listSchedulesOfView = (db: Database, view: ViewName): Promise<Schedule[]> =>
  listSchedulesOfViews(db, [view])

/** The schedules that refresh one of these views, by name. */
export async function listSchedulesOfViews(db: Database, views: readonly ViewName[]): Promise<Schedule[]> {
  if (!db.has('schedules')) return []
  const payload = viewInPayload('s.payload')
  const rows = await db.session.query<ScheduleRow>(
    `select ${SCHEDULE.select('s')}
       from ${db.tables.schedules} s
      where s.job_type = '${JOB_TYPE}'
        and (${payload.schema}, ${payload.view}) in (select * from unnest($1::text[], $2::text[]))
      order by s.name`,
    [views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName)],
  )
  return rows.map(toSchedule)
}

/** The names of the schedules of our type that are nearest to one, by name, for did-you-mean. */
export async function listNearScheduleNames(db: Database, name: string): Promise<string[]> {
  if (!db.has('schedules')) return []
  const found = db.session.query<{name: string}>(
    `with ${typedPairs(1)}
     select name
       from (select s.name
               from ${db.tables.schedules} s
              where s.job_type = '${JOB_TYPE}'
              order by ${byNearness('s.name')}, s.name
              limit ${MOST_NEAR_NAMES}) near
      order by name`,
    [name],
  )
  const rows = await found.catch(noneIfUnencodable(name, []))
  return rows.map((row) => row.name)
}

/** Adds a schedule and wakes the workers; null where the name is taken, by a schedule of any type. */
export const insertSchedule = (db: Database, settings: ScheduleSettings): Promise<Schedule | null> =>
  db.session.transaction(async () => (await insertSchedules(db, [settings]))[0] ?? null)

/**
 * Adds schedules, within a transaction, and wakes the workers. Returns those that were added: not the ones
 * whose names are taken, by schedules of any type.
 */
export async function insertSchedules(
  db: Database,
  settings: readonly ScheduleSettings[],
): Promise<Schedule[]> {
  const inserted = db.session.query<ScheduleRow>(
    `insert into ${db.tables.schedules} as s (name, job_type, payload, cron_expr, timezone, enabled, max_attempts, next_run_at)
     select v.name, '${JOB_TYPE}', v.payload, v."cronExpr", v.timezone, v.enabled, v."maxAttempts", v."nextRunAt"
       from jsonb_to_recordset($1::jsonb) v(name text, payload jsonb, "cronExpr" text, timezone text, enabled boolean,
                                            "maxAttempts" int, "nextRunAt" timestamptz)
      order by v.name
         on conflict (name) do nothing
  returning ${SCHEDULE.select('s')}`,
    [JSON.stringify(settings)],
  )
  const rows = await inserted.catch(refuseUnencodable(settings))
  await wakeWorkers(db.session)
  return rows.map(toSchedule)
}

/**
 * Changes a schedule, within a transaction; 'taken' if another schedule has the name. Unchanged columns are
 * not written back: a JavaScript number or Date is less precise than the value in Postgres.
 */
export async function updateSchedule(
  db: Database,
  id: string,
  update: ScheduleUpdate,
): Promise<Schedule | 'taken'> {
  try {
    const rows = await db.session.query<ScheduleRow>(
      `update ${db.tables.schedules} as s
          set name = coalesce($2, s.name),
              payload = case when $10 then (coalesce($3::jsonb, s.payload) - 'scope') || $11::jsonb else coalesce($3, s.payload) end,
              cron_expr = coalesce($4, s.cron_expr),
              timezone = coalesce($5, s.timezone), enabled = coalesce($6, s.enabled),
              max_attempts = coalesce($7, s.max_attempts),
              next_run_at = case when $8 then $9 else s.next_run_at end, updated_at = clock_timestamp()
        where s.id = $1
    returning ${SCHEDULE.select('s')}`,
      [
        id,
        update.name ?? null,
        update.payload === undefined ? null : JSON.stringify(update.payload),
        update.cronExpr ?? null,
        update.timezone ?? null,
        update.enabled ?? null,
        update.maxAttempts ?? null,
        update.nextRunAt !== undefined,
        update.nextRunAt ?? null,
        update.scope !== undefined,
        JSON.stringify(update.scope ? {scope: update.scope} : {}),
      ],
    )
    await wakeWorkers(db.session)
    return toSchedule(rows[0] as ScheduleRow)
  } catch (error) {
    if (hasSqlstate(error, SQLSTATE.UNIQUE_VIOLATION)) return 'taken'
    return refuseUnencodable(update)(error)
  }
}

const refuseUnencodable =
  (settings: ScheduleUpdate | readonly ScheduleSettings[]) =>
  (error: unknown): never => {
    throw isUnencodable(error, JSON.stringify(settings)) ? unencodableSchedule(error) : error
  }

/** Deletes a schedule, within a transaction. Its jobs stay, without a schedule. */
export async function deleteSchedule(db: Database, id: string): Promise<void> {
  await db.session.query(`delete from ${db.tables.schedules} where id = $1`, [id])
}
