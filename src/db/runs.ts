import {qualifiedName} from '../lib/identifier.ts'
import {storedSettings} from '../lib/postgres-settings.ts'
import type {Run, RunStatus} from '../lib/records/runs.ts'
import type {ViewName} from '../lib/records/values.ts'
import {bigint, columns, errorText, instant, plain, type Stored} from './columns.ts'
import type {Database} from './database.ts'
import {notFoundIfUnencodable} from './encoding.ts'
import {exactMilliseconds} from './instant.ts'
import type {Session} from './session.ts'

const RUN = columns<Run>({
  id: plain('id'),
  schemaName: plain('schema_name'),
  viewName: plain('view_name'),
  refreshMode: plain('refresh_mode'),
  trigger: plain('trigger'),
  jobId: plain('job_id'),
  workerId: plain('worker_id'),
  startedAt: instant('started_at'),
  durationMs: plain('duration_ms'),
  status: plain('status'),
  error: errorText('error'),
  sizeBytes: bigint('size_bytes'),
  lockWaitMs: bigint('lock_wait_ms'),
  settings: {
    sql: (alias) => `${alias}.settings`,
    read: (stored) => (stored === null ? null : storedSettings(stored)),
  },
  reason: errorText('reason'),
})

/** Which runs of a view to list. */
export interface RunFilter {
  limit: number
  /** Null for all. */
  status?: RunStatus | null
  /** The longest runs first, in place of the newest. */
  isLongestFirst?: boolean
}

/** Columns that came with the tables of states and of policies. */
const missingIn = (db: Database) => [
  ...(db.has('states') ? [] : (['lockWaitMs'] as const)),
  ...(db.has('policies') ? [] : (['settings', 'reason'] as const)),
]

/** The newest runs of a view, newest first. */
export async function listRuns(
  db: Database,
  view: ViewName,
  {limit, status = null, isLongestFirst = false}: RunFilter,
): Promise<Run[]> {
  if (!db.has('runs')) return []
  const found = db.session.query<Stored<Run>>(
    `select ${RUN.select('h', missingIn(db))}
       from ${db.tables.runs} h
      where h.schema_name = $1 and h.view_name = $2 and ($4::text is null or h.status = $4)
      order by ${isLongestFirst ? 'h.duration_ms desc nulls last, ' : ''}h.started_at desc, h.id
      limit $3`,
    [view.schemaName, view.viewName, limit, status],
  )
  const rows = await found.catch(notFoundIfUnencodable(view))
  return rows.map(RUN.toRecord)
}

/** The newest runs of each registration, newest first, by its id. */
export async function listRecentRuns(
  db: Database,
  ids: readonly string[],
  {limit}: {limit: number},
): Promise<Map<string, Run[]>> {
  const runs = new Map<string, Run[]>()
  if (!db.has('runs') || !db.has('registrations') || ids.length === 0) return runs
  const rows = await db.session.query<Stored<Run> & {registration_id: string}>(
    `select r.id as registration_id, h.*
       from ${db.tables.registrations} r
      cross join lateral (
              select ${RUN.select('h', missingIn(db))}
                from ${db.tables.runs} h
               where h.schema_name = r.schema_name and h.view_name = r.view_name
               order by h.started_at desc, h.id
               limit $2) h
      where r.id = any ($1::uuid[])`,
    [ids, limit],
  )
  for (const {registration_id: id, ...row} of rows) {
    const run = RUN.toRecord(row as Stored<Run>)
    const known = runs.get(id)
    if (known) known.push(run)
    else runs.set(id, [run])
  }
  return runs
}

/** So many of the newest successes make the usual duration. */
const USUAL_RUNS = 5

/**
 * How long refreshes of the views usually take, in milliseconds, by qualified names; none for views that the
 * history does not know.
 */
export async function usualDurations(
  db: Pick<Database, 'has' | 'tables' | 'session'>,
  views: readonly ViewName[],
): Promise<Map<string, number>> {
  if (!db.has('runs') || views.length === 0) return new Map()
  const rows = await db.session.query<{schema_name: string; view_name: string; usual_ms: number}>(
    `select v.schema_name, v.view_name, percentile_disc(0.5) within group (order by h.duration_ms) as usual_ms
       from unnest($1::text[], $2::text[]) as v(schema_name, view_name)
      cross join lateral (
              select h.duration_ms
                from ${db.tables.runs} h
               where h.schema_name = v.schema_name and h.view_name = v.view_name
                 and h.status = 'success' and h.duration_ms is not null
               order by h.started_at desc
               limit ${USUAL_RUNS}) h
      group by v.schema_name, v.view_name`,
    [views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName)],
  )
  return new Map(
    rows.map((row) => [qualifiedName({schemaName: row.schema_name, viewName: row.view_name}), row.usual_ms]),
  )
}

/** The same of one view, read on a session of the caller; null where the history does not know. */
export async function usualDuration(db: Database, session: Session, view: ViewName): Promise<number | null> {
  const durations = await usualDurations({tables: db.tables, has: (table) => db.has(table), session}, [view])
  return durations.get(qualifiedName(view)) ?? null
}

/** The last success of a view. Times in milliseconds since 1970. */
export interface LastSuccess {
  runId: string
  startedAtMs: number
  endedAtMs: number
  durationMs: number
}

/** The last success of each view, by qualified names; none for views that ayb has not refreshed. */
export async function lastSuccesses(
  db: Database,
  views: readonly ViewName[],
): Promise<Map<string, LastSuccess>> {
  if (!db.has('runs') || views.length === 0) return new Map()
  const rows = await db.session.query<{
    id: string
    schema_name: string
    view_name: string
    started_ms: string
    ms: number
  }>(
    `select h.id, v.schema_name, v.view_name, ${exactMilliseconds('h.started_at')} as started_ms,
            h.duration_ms as ms
       from unnest($1::text[], $2::text[]) as v(schema_name, view_name)
      cross join lateral (
              select h.id, h.started_at, h.duration_ms
                from ${db.tables.runs} h
               where h.schema_name = v.schema_name and h.view_name = v.view_name
                 and h.status = 'success' and h.duration_ms is not null
               order by h.started_at desc
               limit 1) h`,
    [views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName)],
  )
  return new Map(
    rows.map((row) => [
      qualifiedName({schemaName: row.schema_name, viewName: row.view_name}),
      {
        runId: row.id,
        startedAtMs: Number(row.started_ms),
        endedAtMs: Number(row.started_ms) + row.ms,
        durationMs: row.ms,
      },
    ]),
  )
}
