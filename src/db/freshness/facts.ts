import {presentable} from '../../lib/outside-text.ts'
import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {exactMilliseconds, numberOf, withinDocuments} from '../instant.ts'
import {readablePayload, viewInPayload} from '../payload.ts'
import {agePromised, promiseOf} from '../promises.ts'
import {runsOf} from './history.ts'

/** What the tables tell of how fresh a registered view is. Times in milliseconds since 1970. */
export interface FreshnessFacts extends ViewName {
  id: string
  exists: boolean
  isPopulated: boolean
  /** Whether the last refresh failed. */
  hasFailed: boolean
  lastError: string | null
  /** Since the last success; at most `MOST_FAILURES`. */
  consecutiveFailures: number
  lastSuccessStartedAtMs: number | null
  lastSuccessEndedAtMs: number | null
  lastSuccessDurationMs: number | null
  /** After the last success; null where the history does not tell. */
  sizeBytes: number | null
  /** How old the data may be. */
  maxAgeMs: number | null
  hasSchedule: boolean
  nextRunAtMs: number | null
  /** The earlier of the next due time and the time of the oldest queued job. */
  dueAtMs: number | null
}

/** A view that never works makes an endless history. */
const MOST_FAILURES = 1000

/** SQL: as `exactMilliseconds`, of an instant that a document can hold. */
const milliseconds = (instant: string): string => exactMilliseconds(withinDocuments(instant))

/**
 * What the tables tell of the registered views, by name, and the time of the server: of all views, or of views
 * with these ids or names. A name with bytes that are not UTF-8 is found by the id alone. One statement.
 */
export async function readFreshness(
  db: Database,
  which: {ids: readonly string[]; names: readonly ViewName[]} | null,
): Promise<{nowMs: number; views: FreshnessFacts[]}> {
  if (!db.has('registrations')) return {nowMs: 0, views: []}
  const {tables} = db
  const ownMaxAge = db.mayRead('policies')
    ? `(select ${agePromised('p')} from ${tables.policies} p where p.schema_name = r.schema_name and p.view_name = r.view_name)`
    : 'null'
  const maxAge = `coalesce(${ownMaxAge}, s.max_age_ms)`
  const rows = await db.session.query<FreshnessRow>(
    `with ${scheduled(db)},
     meant as (
       select * from ${tables.registrations} r
        ${which ? 'where r.id = any ($1::uuid[]) or (r.schema_name, r.view_name) in (select * from unnest($2::text[], $3::text[]))' : ''}),
     success as (
       select r.id, h.started_at, h.duration_ms, h.size_bytes, h.started_at + h.duration_ms * interval '1 ms' as ended_at
         from meant r
        cross join lateral (
                select h.started_at, h.duration_ms, h.size_bytes from ${runsOf(db)} h
                 where h.schema_name = r.schema_name and h.view_name = r.view_name
                   and h.status = 'success' and h.duration_ms is not null
                 order by h.started_at desc
                 limit 1) h),
     known as (
       select r.id, r.schema_name, r.view_name, r.last_refresh_status, r.last_refresh_error, l.started_at, l.ended_at, l.duration_ms, h.size_bytes
         from meant r
         left join success h on h.id = r.id
        cross join lateral (
                -- Another program stamps the registration, and writes no history.
                select case when foreign_success then r.last_refresh_at - coalesce(r.last_refresh_duration_ms, 0) * interval '1 ms'
                            else h.started_at end as started_at,
                       case when foreign_success then r.last_refresh_at else h.ended_at end as ended_at,
                       case when foreign_success then r.last_refresh_duration_ms else h.duration_ms end as duration_ms
                  from (select r.last_refresh_status = 'success'
                               and (h.id is null or r.last_refresh_at > h.ended_at + interval '1 s') as foreign_success) f) l)
     select r.id, r.schema_name, r.view_name, c.oid is not null as exists,
            coalesce(c.relispopulated, false) as is_populated,
            coalesce(r.last_refresh_status = 'error', false) as has_failed, r.last_refresh_error as last_error,
            case when r.last_refresh_status = 'error' then greatest(${failures(db)}, 1) else 0 end as failures,
            ${milliseconds('r.started_at')} as started_ms, ${milliseconds('r.ended_at')} as ended_ms,
            r.duration_ms, r.size_bytes::text as size_bytes, ${maxAge}::text as max_age_ms,
            s.schema_name is not null as has_schedule, ${milliseconds('s.next_run_at')} as next_run_ms,
            ${milliseconds('least(s.next_run_at, q.run_at)')} as due_ms,
            (select ${exactMilliseconds('clock_timestamp()')}) as now_ms
       from known r
       left join pg_namespace n on n.nspname = r.schema_name
       left join pg_class c on c.relnamespace = n.oid and c.relname = r.view_name and c.relkind = 'm'
       left join scheduled s on s.schema_name = r.schema_name and s.view_name = r.view_name
       left join queued q on q.schema_name = r.schema_name and q.view_name = r.view_name
      order by r.schema_name, r.view_name`,
    which
      ? [which.ids, which.names.map(({schemaName}) => schemaName), which.names.map(({viewName}) => viewName)]
      : [],
  )
  return {nowMs: Number(rows[0]?.now_ms ?? 0), views: rows.map(toFacts)}
}

/** SQL: how many refreshes of the registration `r` failed since `started_at`, its last success. */
const failures = (db: Database): string =>
  `(select count(*)::int
                from (select from ${runsOf(db)} e
                       where e.schema_name = r.schema_name and e.view_name = r.view_name and e.status = 'error'
                         and e.started_at > coalesce(r.started_at, '-infinity')
                       limit ${MOST_FAILURES}) e)`

interface FreshnessRow {
  id: string
  schema_name: string
  view_name: string
  exists: boolean
  is_populated: boolean
  has_failed: boolean
  last_error: string | null
  failures: number
  started_ms: string | null
  ended_ms: string | null
  duration_ms: number | null
  size_bytes: string | null
  max_age_ms: string | null
  has_schedule: boolean
  next_run_ms: string | null
  due_ms: string | null
  now_ms: string
}

const toFacts = (row: FreshnessRow): FreshnessFacts => ({
  schemaName: row.schema_name,
  viewName: row.view_name,
  id: row.id,
  exists: row.exists,
  isPopulated: row.is_populated,
  hasFailed: row.has_failed,
  lastError: row.has_failed ? presentable(row.last_error) : null,
  consecutiveFailures: row.failures,
  lastSuccessStartedAtMs: numberOf(row.started_ms),
  lastSuccessEndedAtMs: numberOf(row.ended_ms),
  lastSuccessDurationMs: row.duration_ms,
  sizeBytes: numberOf(row.size_bytes),
  maxAgeMs: numberOf(row.max_age_ms),
  hasSchedule: row.has_schedule,
  nextRunAtMs: numberOf(row.next_run_ms),
  dueAtMs: numberOf(row.due_ms),
})

/** SQL: parts of a WITH: the enabled schedules and the queued jobs, each grouped by view once. */
function scheduled(db: Database): string {
  const {tables} = db
  if (!db.has('schedules') || !db.has('jobs')) {
    const none =
      'select null::text as schema_name, null::text as view_name, null::bigint as max_age_ms, null::timestamptz as'
    return `scheduled as (${none} next_run_at where false), queued as (${none} run_at where false)`
  }
  const scheduledView = viewInPayload(readablePayload('s.payload'))
  const queuedView = viewInPayload(readablePayload('j.payload'))
  return `scheduled as materialized (
       select ${scheduledView.schema} as schema_name, ${scheduledView.view} as view_name, min(s.next_run_at) as next_run_at,
              min(${promiseOf(db, 's')}) as max_age_ms
         from ${tables.schedules} s
        where s.enabled and s.job_type = '${JOB_TYPE}'
        group by 1, 2),
     queued as materialized (
       select ${queuedView.schema} as schema_name, ${queuedView.view} as view_name, min(j.run_at) as run_at
         from ${tables.jobs} j
        where j.type = '${JOB_TYPE}' and j.state = 'queued'
        group by 1, 2)`
}
