import {presentable} from '../lib/outside-text.ts'
import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {Database} from './database.ts'
import {exactMilliseconds, numberOf, withinDocuments} from './instant.ts'
import {readablePayload, viewInPayload} from './payload.ts'
import {promiseOf} from './promises.ts'

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
/** The history rounds durations to milliseconds, so that the ends of runs are not exact. */
export const ROUNDING_MS = 2

/** SQL: as `exactMilliseconds`, of an instant that a document can hold. */
const milliseconds = (instant: string): string => exactMilliseconds(withinDocuments(instant))

/**
 * What the tables tell of the registered views, by name, and the time of the server: of all views, or of one
 * view, found by its id, and others, found by their names. A name with bytes that are not UTF-8 cannot be
 * found. One statement.
 */
export async function readFreshness(
  db: Database,
  which: {id: string; names: readonly ViewName[]} | null,
): Promise<{nowMs: number; views: FreshnessFacts[]}> {
  if (!db.has('registrations')) return {nowMs: 0, views: []}
  const {tables} = db
  const ownMaxAge = db.mayRead('policies')
    ? `(select p.max_age_ms from ${tables.policies} p where p.schema_name = r.schema_name and p.view_name = r.view_name)`
    : 'null'
  const maxAge = `coalesce(${ownMaxAge}, s.max_age_ms)`
  const rows = await db.session.query<FreshnessRow>(
    `with ${scheduled(db)},
     meant as (
       select * from ${tables.registrations} r
        ${which ? 'where r.id = $1 or (r.schema_name, r.view_name) in (select * from unnest($2::text[], $3::text[]))' : ''}),
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
            case when r.last_refresh_status = 'error' then greatest(f.failures, 1) else 0 end as failures,
            ${milliseconds('r.started_at')} as started_ms, ${milliseconds('r.ended_at')} as ended_ms,
            r.duration_ms, r.size_bytes::text as size_bytes, ${maxAge}::text as max_age_ms,
            s.schema_name is not null as has_schedule, ${milliseconds('s.next_run_at')} as next_run_ms,
            ${milliseconds('least(s.next_run_at, q.run_at)')} as due_ms,
            ${exactMilliseconds('clock_timestamp()')} as now_ms
       from known r
       left join pg_namespace n on n.nspname = r.schema_name
       left join pg_class c on c.relnamespace = n.oid and c.relname = r.view_name and c.relkind = 'm'
       left join scheduled s on s.schema_name = r.schema_name and s.view_name = r.view_name
       left join queued q on q.schema_name = r.schema_name and q.view_name = r.view_name
       left join lateral (
              select count(*)::int as failures
                from (select from ${runsOf(db)} e
                       where r.last_refresh_status = 'error' and e.schema_name = r.schema_name
                         and e.view_name = r.view_name and e.status = 'error'
                         and e.started_at > coalesce(r.started_at, '-infinity')
                       limit ${MOST_FAILURES}) e) f on true
      order by r.schema_name, r.view_name`,
    which
      ? [which.id, which.names.map(({schemaName}) => schemaName), which.names.map(({viewName}) => viewName)]
      : [],
  )
  return {nowMs: Number(rows[0]?.now_ms ?? 0), views: rows.map(toFacts)}
}

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

/** SQL: the history; an empty one where an AYB server has made the registrations, and ayb no table yet. */
const runsOf = (db: Database): string =>
  db.has('runs')
    ? db.tables.runs
    : `(select null::text as schema_name, null::text as view_name, null::text as status,
               null::timestamptz as started_at, null::int as duration_ms, null::bigint as size_bytes
         where false)`

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

/** A parent, and the moment whose data of it a view holds. The view is known by its place. */
interface ReadParent extends ViewName {
  place: number
  readAtMs: number
}

/**
 * Which views have missed a refresh of a parent that ended at least so long ago, by their places, with the
 * end of that refresh in milliseconds since 1970.
 */
export async function missedRefreshes(
  db: Database,
  parents: readonly ReadParent[],
  agoMs: number,
): Promise<Map<number, number>> {
  const rows = await db.session.query<{place: number; ended_ms: string}>(
    `select p.place, ${exactMilliseconds('min(h.ended_at)')} as ended_ms
       from unnest($1::int[], $2::text[], $3::text[], $4::float8[]) p(place, schema_name, view_name, read_at_ms)
      cross join lateral (
              select h.started_at + h.duration_ms * interval '1 ms' as ended_at from ${runsOf(db)} h
               where h.schema_name = p.schema_name and h.view_name = p.view_name and h.status = 'success'
                 and h.started_at < clock_timestamp() - $5 * interval '1 ms'
                 and h.started_at + h.duration_ms * interval '1 ms' < clock_timestamp() - $5 * interval '1 ms'
               order by h.started_at desc
               limit 1) h
      where h.ended_at > to_timestamp(p.read_at_ms / 1000) + ${ROUNDING_MS} * interval '1 ms'
      group by p.place`,
    [
      parents.map(({place}) => place),
      parents.map(({schemaName}) => schemaName),
      parents.map(({viewName}) => viewName),
      parents.map(({readAtMs}) => String(readAtMs)),
      agoMs,
    ],
  )
  return new Map(rows.map(({place, ended_ms}) => [place, Number(ended_ms)]))
}

/** A view whose data is computed from other materialized views. */
export interface ComputedView extends ViewName {
  isRegistered: boolean
  lastSuccessStartedAtMs: number | null
  /** Places in the list. */
  parents: readonly number[]
}

/**
 * As of when the data of each view is that reads others, in milliseconds since 1970, by its place: the least
 * of the start of its last success and of the starts of the successes, of all views that it reads, that this
 * success has read. Null where the history does not tell one of them. No cycles.
 */
export async function oldestInputs(
  db: Database,
  views: readonly ComputedView[],
): Promise<Map<number, number | null>> {
  const edges = views.flatMap(({parents}, child) => parents.map((parent) => ({child, parent})))
  if (edges.length === 0) return new Map()
  const rows = await db.session.query<{root: number; as_of_ms: string | null}>(
    `with recursive edge as materialized (
       select * from unnest($1::int[], $2::int[]) e(child, parent)),
     view as materialized (
       select v.*, (v.place - 1)::int as id
         from unnest($3::text[], $4::text[], $5::bool[], $6::float8[])
              with ordinality v(schema_name, view_name, is_registered, started_ms, place)),
     walk(root, id, started_at) as (
       select v.id, v.id, to_timestamp(v.started_ms / 1000)
         from view v
        where v.started_ms is not null and exists (select from edge e where e.child = v.id)
        union
       select w.root, e.parent, h.started_at
         from walk w
         join edge e on e.child = w.id
         join view v on v.id = e.parent
         left join lateral (
                select h.started_at from ${runsOf(db)} h
                 where v.is_registered and h.schema_name = v.schema_name and h.view_name = v.view_name
                   and h.status = 'success' and h.started_at <= w.started_at
                   and h.started_at + h.duration_ms * interval '1 ms' <= w.started_at + ${ROUNDING_MS} * interval '1 ms'
                 order by h.started_at desc
                 limit 1) h on true
        where w.started_at is not null)
     select w.root,
            case when bool_and(w.started_at is not null)
                 then ${exactMilliseconds('min(w.started_at)')} end as as_of_ms
       from walk w
      group by w.root`,
    [
      edges.map(({child}) => child),
      edges.map(({parent}) => parent),
      views.map(({schemaName}) => schemaName),
      views.map(({viewName}) => viewName),
      views.map(({isRegistered}) => String(isRegistered)),
      views.map(({lastSuccessStartedAtMs: ms}) => (ms === null ? null : String(ms))),
    ],
  )
  return new Map(rows.map(({root, as_of_ms}) => [root, numberOf(as_of_ms)]))
}
