import type {Database} from '../database.ts'

/** The history rounds durations to milliseconds, so that the ends of runs are not exact. */
export const ROUNDING_MS = 2

/** SQL: the history; an empty one where an AYB server has made the registrations, and ayb no table yet. */
export const runsOf = (db: Database): string =>
  db.has('runs')
    ? db.tables.runs
    : `(select null::text as schema_name, null::text as view_name, null::text as status,
               null::timestamptz as started_at, null::int as duration_ms, null::bigint as size_bytes
         where false)`
