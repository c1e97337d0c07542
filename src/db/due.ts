import {JOB_TYPE} from '../lib/records.ts'
import type {Database} from './database.ts'
import {exactInstant} from './instant.ts'

/** SQL: the next run of the schedule under alias `s` is a time that can be told and compared, not infinity or BC. */
export const HAS_TIME = "isfinite(s.next_run_at) and s.next_run_at >= '0001-01-02'"

/** A schedule that is due: what it was when it was read, exactly. */
export interface DueSchedule {
  id: string
  name: string
  cronExpr: string
  timezone: string
  /** next_run_at to the microsecond. */
  seen: string
  /** updated_at to the microsecond: `schedules run` moves it when it queues a job. */
  updatedAt: string | null
}

/** Names a schedule as long as nobody changes its timing. */
export interface ScheduleTiming {
  id: string
  cronExpr: string
  timezone: string
}

/**
 * SQL: the schedule under alias `s` is none of the timings, and the parameters that it takes, from `$n` on. Nothing
 * where there are none: the condition would keep Postgres from reading the first row off its index.
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

/** The schedules that are due, longest first, and the server's time; without those that cannot be understood. */
export async function readDueSchedules(
  db: Database,
  limit: number,
  unreadable: readonly ScheduleTiming[],
): Promise<{due: DueSchedule[]; now: Date}> {
  const except = exceptTimings(2, unreadable)
  const rows = await db.session.query<{
    id: string
    name: string
    cron_expr: string
    timezone: string
    seen: string
    updated_at: string | null
    now_ms: string
  }>(
    `select s.id, s.name::text, s.cron_expr::text, s.timezone::text, ${exactInstant('s.next_run_at')} as seen, ${exactInstant('s.updated_at')} as updated_at,
            round(extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms
       from ${db.tables.schedules} s
      where s.enabled and s.job_type = '${JOB_TYPE}' and s.next_run_at <= now() and ${HAS_TIME} ${except.sql}
      order by s.next_run_at
      limit $1`,
    [limit, ...except.values],
  )
  return {
    due: rows.map((row) => ({
      id: row.id,
      name: row.name,
      cronExpr: row.cron_expr,
      timezone: row.timezone,
      seen: row.seen,
      updatedAt: row.updated_at,
    })),
    now: new Date(Number(rows[0]?.now_ms)),
  }
}

/** A due schedule and when it comes next; null where it never does. */
export interface Advance extends DueSchedule {
  next: Date | null
}

/**
 * Moves due schedules on and queues a job for each, unless one of its own is queued already. Compare-and-set on what
 * was read: whoever else looks at the same schedules, each due time is taken once. Rows that somebody holds are left
 * for the next look. The jobs of a schedule are looked up one schedule at a time: as a join, planned while there were
 * few, the queue would be read once for each.
 */
export async function advanceSchedules(
  db: Database,
  advances: readonly Advance[],
): Promise<{advanced: number; enqueued: number}> {
  const rows = await db.session.query<{advanced: number; enqueued: number}>(
    `with v as materialized (
       select * from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::text[], $6::timestamptz[])
                  as v(id, seen, next, cron, tz, updated_at)),
     due as materialized (
       select s.id, s.payload, s.max_attempts, s.next_run_at as due_at, v.next
         from ${db.tables.schedules} s join v on v.id = s.id
        where s.enabled and s.next_run_at = v.seen and s.cron_expr = v.cron and s.timezone = v.tz and s.updated_at is not distinct from v.updated_at
          for no key update of s skip locked),
     advanced as (
       update ${db.tables.schedules} s set next_run_at = due.next, last_run_at = now(), updated_at = now()
         from due where s.id = due.id),
     enqueued as (
       insert into ${db.tables.jobs} (type, payload, max_attempts, schedule_id, run_at)
       select '${JOB_TYPE}', due.payload, due.max_attempts, due.id, due.due_at
         from due
        where not exists (select from (select j.state from ${db.tables.jobs} j
                                        where j.schedule_id = due.id and (j.state = 'queued' or j.state = 'running') offset 0) live
                           where live.state = 'queued')
       returning id)
     select (select count(*) from due)::int as advanced, (select count(*) from enqueued)::int as enqueued`,
    [
      advances.map((advance) => advance.id),
      advances.map((advance) => advance.seen),
      advances.map((advance) => advance.next?.toISOString() ?? null),
      advances.map((advance) => advance.cronExpr),
      advances.map((advance) => advance.timezone),
      advances.map((advance) => advance.updatedAt),
    ],
  )
  return rows[0] ?? {advanced: 0, enqueued: 0}
}
