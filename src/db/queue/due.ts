import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {SchedulePolicy} from '../../lib/schedule-policy.ts'
import type {Database} from '../database.ts'
import {exactInstant, isAhead, millisecondsUntil, numberOf, wholeMilliseconds} from '../instant.ts'
import {agePromised, promiseOf} from '../promises.ts'
import {type StoredSchedulePolicy, schedulePolicyOf, toSchedulePolicy} from '../schedule-policies.ts'
import type {TableNames} from '../system.ts'

/**
 * SQL: the next run of the schedule under alias `s` is a time that JavaScript can hold, not infinity or BC.
 */
export const HAS_TIME = "isfinite(s.next_run_at) and s.next_run_at >= '0001-01-02'"

/** A schedule as it was read, to be moved on. */
export interface DueSchedule {
  id: string
  name: string
  cronExpr: string
  timezone: string
  /** How old it lets the data of its view become; null where it runs at the times of its expression. */
  maxAgeMs: number | null
  /**
   * The version of the row: every change makes a new one, and so does `schedules run` when it queues a job.
   * Columns cannot replace the version: as text, an instant is null for infinity, and 44 BC looks like 44 AD,
   * so such a row would never match.
   */
  version: string
  /** When it was due; null where JavaScript cannot hold that. */
  due: Date | null
  policy: SchedulePolicy
}

/** SQL: the version of the row under alias `s`. */
export const VERSION = 's.xmin::text'

/** Names a schedule as long as nobody changes its timing. */
export interface ScheduleTiming {
  id: string
  cronExpr: string
  timezone: string
}

/**
 * SQL: a condition that the schedule under alias `s` is none of the timings, and its parameters, from `$n`
 * on. Empty without timings, since the condition would keep Postgres from reading only the first row of the
 * index.
 */
export function exceptTimings(
  n: number,
  timings: readonly ScheduleTiming[],
): {sql: string; values: string[][]} {
  if (timings.length === 0) return {sql: '', values: []}
  return {
    sql: `and not exists (select from unnest($${n}::uuid[], $${n + 1}::text[], $${n + 2}::text[]) as b(id, cron, tz)
                           where b.id = s.id and b.cron = s.cron_expr and b.tz = s.timezone)`,
    values: [
      timings.map((timing) => timing.id),
      timings.map((timing) => timing.cronExpr),
      timings.map((timing) => timing.timezone),
    ],
  }
}

/** Which due schedules to read, by their next run to the microsecond; all without it. */
export interface DueWindow {
  /** No schedule is due before then, as far as is known. */
  from?: string | null
  until?: string | null
}

/**
 * The schedules that are due, the one due for longest first, and the server's time. Leaves out schedules that
 * cannot be understood, and those outside the window.
 */
export const readDueSchedules = (
  db: Database,
  limit: number,
  unreadable: readonly ScheduleTiming[],
  {from = null, until = null}: DueWindow = {},
) => {
  const conditions = [
    's.next_run_at <= now()',
    ...(from === null ? [] : ['s.next_run_at >= $2']),
    ...(until === null ? [] : [`s.next_run_at <= ${db.session.literal(until)}::timestamptz`]),
    HAS_TIME,
  ]
  return readSchedules(db, [conditions.join(' and ')], {limit, unreadable, from})
}

/**
 * Enabled schedules that never run, because they have no next run, or an impossible one. Not within a minute
 * of their last change: an AYB server inserts a schedule first, and its next run right behind.
 */
export const readUntimedSchedules = (db: Database, limit: number, unreadable: readonly ScheduleTiming[]) =>
  readSchedules(
    db,
    // Each by the index: with `or` in between, all schedules are read.
    ['s.next_run_at is null', "s.next_run_at < '0001-01-02'", "s.next_run_at >= '10000-01-01'"].map(
      (untimed) =>
        `${untimed} and (s.updated_at between now() - interval '1 min' and now() + interval '1 min') is not true`,
    ),
    {limit, unreadable, from: null},
  )

interface DueRow {
  id: string
  name: string
  cron_expr: string
  timezone: string
  max_age_ms: string | null
  version: string
  due_ms: string | null
  policy: StoredSchedulePolicy | null
  now_ms: string
}

/** SQL: the columns of DueRow, of the table under alias `s`. */
const dueColumns = (db: Database): string =>
  `s.id, s.name::text, s.cron_expr::text, s.timezone::text, ${promiseOf(db, 's')}::text as max_age_ms, ${VERSION} as version,
            case when ${HAS_TIME} then ${wholeMilliseconds('s.next_run_at')} end as due_ms,
            ${schedulePolicyOf(db, 's.id')} as policy, ${wholeMilliseconds('clock_timestamp()')} as now_ms`

const toDueSchedule = (row: DueRow): DueSchedule => ({
  id: row.id,
  name: row.name,
  cronExpr: row.cron_expr,
  timezone: row.timezone,
  maxAgeMs: numberOf(row.max_age_ms),
  version: row.version,
  due: row.due_ms === null ? null : new Date(Number(row.due_ms)),
  policy: toSchedulePolicy(row.policy),
})

/** A schedule whose next run is ahead, to the microsecond. */
export interface SchedulesAhead {
  ahead: (DueSchedule & {nextRunAt: string})[]
  now: Date | null
}

/**
 * Enabled schedules that are not due within an hour, by their next run, from behind the last one that was
 * read.
 */
export async function readSchedulesAhead(
  db: Database,
  after: {nextRunAt: string; id: string} | null,
  limit: number,
  unreadable: readonly ScheduleTiming[],
): Promise<SchedulesAhead> {
  const except = exceptTimings(4, unreadable)
  const rows = await db.session.query<DueRow & {next_run_at: string}>(
    `select ${dueColumns(db)}, ${exactInstant('s.next_run_at')} as next_run_at
       from ${db.tables.schedules} s
      where s.enabled and s.job_type = '${JOB_TYPE}' and s.next_run_at < '10000-01-01' and ${isAhead('s.next_run_at')}
        and (s.next_run_at, s.id) > ($2::timestamptz, $3::uuid) ${except.sql}
      order by s.next_run_at, s.id
      limit $1`,
    [limit, after?.nextRunAt ?? '-infinity', after?.id ?? FIRST_ID, ...except.values],
  )
  return {
    ahead: rows.map((row) => ({...toDueSchedule(row), nextRunAt: row.next_run_at})),
    now: rows[0] ? new Date(Number(rows[0].now_ms)) : null,
  }
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000'

/** Up to `limit` schedules for each of the conditions, in which `from` is $2. */
async function readSchedules(
  db: Database,
  conditions: readonly string[],
  {limit, unreadable, from}: {limit: number; unreadable: readonly ScheduleTiming[]; from: string | null},
): Promise<{due: DueSchedule[]; now: Date}> {
  const bounds = from === null ? [] : [from]
  const except = exceptTimings(2 + bounds.length, unreadable)
  const select = (condition: string) =>
    `(select ${dueColumns(db)}
        from ${db.tables.schedules} s
       where s.enabled and s.job_type = '${JOB_TYPE}' and ${condition} ${except.sql}
       order by s.next_run_at
       limit $1)`
  const rows = await db.session.query<DueRow>(conditions.map(select).join(' union all '), [
    limit,
    ...bounds,
    ...except.values,
  ])
  return {
    due: rows.map(toDueSchedule),
    now: new Date(Number(rows[0]?.now_ms)),
  }
}

/**
 * SQL: another program has set the next run of the schedule under alias `s`, which has the promise `q`: a program
 * that does not know promises goes by the expression. Also where the next run is so far ahead that the clock must
 * have been wrong.
 */
const IS_MOVED = `s.cron_expr = q.cron_expr and s.enabled and s.job_type = '${JOB_TYPE}' and s.next_run_at > now()
        and (q.due_at is distinct from s.next_run_at or s.next_run_at > now() + ${agePromised('q')} * interval '1 ms')`

/**
 * SQL: `readMovedPromises` would find some. Who may not note the next runs would find each of them moved. Not a
 * join: Postgres would begin with the schedules, of which there may be many without a promise.
 */
export const hasMovedPromises = (db: Database): string => {
  if (!db.mayWrite('promises')) return 'false'
  const {promises, schedules} = db.tables
  return `exists (select from ${promises} q
             where q.max_age_ms is not null and (select ${IS_MOVED} from ${schedules} s where s.id = q.schedule_id))`
}

/** Enabled schedules with a promise whose next run is not the one that keeps the promise. */
export async function readMovedPromises(
  db: Database,
  limit: number,
): Promise<{due: DueSchedule[]; now: Date | null}> {
  const rows = await db.session.query<DueRow>(
    `select ${dueColumns(db)}
       from ${db.tables.promises} q
       join ${db.tables.schedules} s on s.id = q.schedule_id
      where q.max_age_ms is not null and ${IS_MOVED}
      order by s.next_run_at
      limit $1`,
    [limit],
  )
  return {due: rows.map(toDueSchedule), now: rows[0] ? new Date(Number(rows[0].now_ms)) : null}
}

/** How long until something is due, in milliseconds; null where nothing is. */
export interface UntilNext {
  /** 0 where a schedule is due now. */
  nextScheduleInMs: number | null
  /** Of jobs that are not due yet. */
  nextJobInMs: number | null
}

/** SQL: a query for the milliseconds until the next queued job that is not due yet, under a further condition. */
export const untilNextJob = ({jobs}: TableNames, condition = ''): string =>
  `select ${millisecondsUntil('j.run_at')} from ${jobs} j
              where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at > now() and isfinite(j.run_at) and j.attempts < j.max_attempts ${condition}
              order by j.run_at limit 1`

/**
 * When the next schedule and the next job are due: with `isContended`, the next schedule that is not due yet.
 * No schedule is due before `from`, as far as is known.
 */
export async function untilNext(
  db: Database,
  unreadable: readonly ScheduleTiming[],
  {isContended, from}: {isContended: boolean; from: string | null},
): Promise<UntilNext> {
  const except = exceptTimings(2, unreadable)
  const rows = await db.session.query<{schedule_ms: number | null; job_ms: number | null}>(
    `select (select ${millisecondsUntil('s.next_run_at')}
               from ${db.tables.schedules} s
              where s.enabled and s.job_type = '${JOB_TYPE}' and ${HAS_TIME} ${except.sql}
                and s.next_run_at >= $1::timestamptz ${isContended ? 'and s.next_run_at > now()' : ''}
              order by s.next_run_at
              limit 1) as schedule_ms,
            (${untilNextJob(db.tables)}) as job_ms`,
    [from ?? '-infinity', ...except.values],
  )
  return {nextScheduleInMs: rows[0]?.schedule_ms ?? null, nextJobInMs: rows[0]?.job_ms ?? null}
}
