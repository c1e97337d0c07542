import {parseExactly} from '../lib/exact-json.ts'
import {scopeOfPayload} from '../lib/payload.ts'
import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {RunStatus} from '../lib/records/runs.ts'
import type {ListedSchedule, Schedule} from '../lib/records/schedules.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {SchedulePolicy} from '../lib/schedule-policy.ts'
import {columns, instant, plain, type Stored} from './columns.ts'
import type {Database} from './database.ts'
import {noneIfUnencodable} from './encoding.ts'
import {numberOf} from './instant.ts'
import {byNearness, MOST_NEAR_NAMES, typedPairs} from './near-names.ts'
import {payloadJson, viewInPayload} from './payload.ts'
import {promiseOf} from './promises.ts'
import {type StoredSchedulePolicy, schedulePolicyOf, toSchedulePolicy} from './schedule-policies.ts'

type StoredSchedule = Omit<Schedule, 'scope' | 'maxAgeMs' | keyof SchedulePolicy>

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

export type ScheduleRow = Stored<StoredSchedule> & {
  policy: StoredSchedulePolicy | null
  max_age_ms: string | null
}

/** SQL: the select list of the schedule under alias `s`. */
export const selectSchedule = (db: Database): string =>
  `${SCHEDULE.select('s')}, ${schedulePolicyOf(db, 's.id')} as policy, ${promiseOf(db, 's')}::text as max_age_ms`

export function toSchedule(row: ScheduleRow): Schedule {
  const stored = SCHEDULE.toRecord(row)
  const maxAgeMs = numberOf(row.max_age_ms)
  return {...stored, scope: scopeOfPayload(stored.payload), maxAgeMs, ...toSchedulePolicy(row.policy)}
}

/** The name of a schedule, as on a command line. */
export type ScheduleReference = {id: string} | {name: string}

/** The schedule of that id or name, of our type; null where there is none, or no table yet. */
export async function findSchedule(db: Database, reference: ScheduleReference): Promise<Schedule | null> {
  if (!db.has('schedules')) return null
  const [condition, value] = 'id' in reference ? ['s.id = $1', reference.id] : ['s.name = $1', reference.name]
  const found = db.session.query<ScheduleRow>(
    `select ${selectSchedule(db)}
       from ${db.tables.schedules} s
      where ${condition} and s.job_type = '${JOB_TYPE}'`,
    [value],
  )
  const rows = await found.catch(noneIfUnencodable(value, []))
  return rows[0] ? toSchedule(rows[0]) : null
}

/** All schedules of our type by name. */
export async function findSchedules(db: Database): Promise<Schedule[]> {
  if (!db.has('schedules')) return []
  const rows = await db.session.query<ScheduleRow>(
    `select ${selectSchedule(db)}
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
    `select ${selectSchedule(db)}, ${lastRun} as last_run_status
       from ${db.tables.schedules} s
      where s.job_type = '${JOB_TYPE}'
      order by s.name`,
  )
  return rows.map((row) => {
    const {scope, maxAgeMs, jitterMs, catchUp, notDuring, ...schedule} = toSchedule(row)
    const policy = {scope, maxAgeMs, jitterMs, catchUp, notDuring}
    return {...schedule, lastRunStatus: row.last_run_status, ...policy}
  })
}

/**
 * SQL: how the last run of the last set of the schedule under alias `s` ended; where a run failed, that
 * run.
 */
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
    `select ${selectSchedule(db)}
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
