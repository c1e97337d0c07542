// What the catalogs, the statistics and the history tell about registered views. Nothing here takes a lock on
// a view, or reads one: sizes are those that the last VACUUM, ANALYZE or index build wrote down.

import type {ViewName} from '../lib/records/values.ts'
import {USABLE_INDEX} from './catalog.ts'
import type {Database} from './database.ts'
import {viewKey} from './locks/advisory-keys.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'

/** An index of a view. */
export interface ViewIndex {
  name: string
  /** Null for an expression. */
  columns: (string | null)[]
  /** What tells the rows apart and sorts them: indexes that say the same here can replace each other. */
  definition: string
  isUnique: boolean
  isValid: boolean
  /** Whether a concurrent refresh can use it. */
  isUsable: boolean
  isPartial: boolean
}

/** What the catalogs say of a view. */
export interface ViewShape extends ViewName {
  oid: number
  populated: boolean
  owner: string
  /** Of 8 kB each. */
  pages: number
  allVisiblePages: number
  /** Negative where nothing has counted them. */
  rows: number
  indexes: ViewIndex[]
}

/** SQL: the registered views that are there, as parts `v` (the registration), `n` and `c`. */
const registeredViews = (db: Database): string =>
  `${db.tables.registrations} v
       join pg_namespace n on n.nspname = v.schema_name
       join pg_class c on c.relnamespace = n.oid and c.relname = v.view_name and c.relkind = 'm'`

export async function readShapes(db: Database): Promise<ViewShape[]> {
  return db.session.query<ViewShape>(
    `select v.schema_name as "schemaName", v.view_name as "viewName", c.oid, c.relispopulated as populated,
            pg_get_userbyid(c.relowner) as owner, c.relpages as pages, c.relallvisible as "allVisiblePages",
            c.reltuples::float8 as rows,
            coalesce((select json_agg(json_build_object(
                        'name', x.relname, 'isUnique', i.indisunique, 'isValid', i.indisvalid,
                        'isUsable', ${USABLE_INDEX}, 'isPartial', i.indpred is not null,
                        'columns', (select json_agg(a.attname order by k.place)
                                      from unnest(i.indkey::int2[]) with ordinality k(attnum, place)
                                      left join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                                     where k.place <= i.indnkeyatts),
                        'definition', concat_ws('/', i.indnkeyatts, i.indkey, i.indclass, i.indcollation, i.indoption,
                                                to_jsonb(i)->>'indnullsnotdistinct')) order by x.relname)
                 from pg_index i join pg_class x on x.oid = i.indexrelid
                where i.indrelid = c.oid), '[]') as indexes
       from ${registeredViews(db)}`,
  )
}

/** What the statistics say of the columns of a view. */
export interface ViewStatistics extends ViewName {
  /** Of all columns of a row together, in bytes. */
  width: number
  /** By column: how many values there are; negative as a share of the rows. */
  distinct: Record<string, number>
}

export async function readStatistics(db: Database): Promise<ViewStatistics[]> {
  return db.session.query<ViewStatistics>(
    `select v.schema_name as "schemaName", v.view_name as "viewName", sum(s.avg_width * (1 - s.null_frac))::float8 as width,
            json_object_agg(s.attname, s.n_distinct) as distinct
       from ${db.tables.registrations} v
       join pg_stats s on s.schemaname = v.schema_name and s.tablename = v.view_name
      group by 1, 2`,
  )
}

/** A function with a text as its body that views call, and that sets no search_path. */
export interface CalledFunction {
  /** With its argument types. */
  signature: string
  source: string
  /** The views that call the function. */
  views: ViewName[]
}

/** More than functions of queries have. */
const MOST_SOURCE = 20_000

export async function findCalledFunctions(db: Database): Promise<CalledFunction[]> {
  return db.session.query<CalledFunction>(
    `select format('%I.%I(%s)', pn.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as signature,
            left(p.prosrc, ${MOST_SOURCE}) as source, f.views
       from (select d.refobjid as oid,
                    json_agg(distinct jsonb_build_object('schemaName', v.schema_name, 'viewName', v.view_name)) as views
               from ${registeredViews(db)}
               join pg_rewrite w on w.ev_class = c.oid
               join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_proc'::regclass
              group by 1) f
       join pg_proc p on p.oid = f.oid
       join pg_namespace pn on pn.oid = p.pronamespace
       join pg_language l on l.oid = p.prolang and l.lanname in ('sql', 'plpgsql')
      where p.prosqlbody is null and pn.nspname not in ('pg_catalog', 'information_schema')
        and not exists (select from unnest(p.proconfig) s where s like 'search_path=%')
      order by signature`,
  )
}

/** The schemas of the relations with these names, but for the one that each search_path has. */
export async function findRelationSchemas(
  db: Database,
  names: readonly string[],
): Promise<Map<string, string>> {
  const rows = await db.session.query<{name: string; schema_name: string}>(
    `select distinct on (c.relname) c.relname as name, quote_ident(n.nspname) as schema_name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relname = any ($1::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f')
        and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_t%'
      order by c.relname, n.nspname <> 'public', n.nspname`,
    [names],
  )
  return new Map(rows.map(({name, schema_name}) => [name, schema_name]))
}

/** A refresh of the history, for its view. */
export interface PastRun {
  mode: string
  status: string
  durationMs: number | null
  lockWaitMs: number | null
  /** Seconds since 1970. */
  endedAt: number | null
}

/** As many as tell what is usual. */
const RUNS_LOOKED_AT = 20

/** PastRun as an array: a hundred thousand objects with names take several times as long. */
type PastRunRow = [string, string, number | null, number | null, number | null]

/** The last runs of each registered view, newest first. */
export async function readPastRuns(db: Database): Promise<(ViewName & {runs: PastRun[]})[]> {
  if (!db.has('runs')) return []
  // The column came with the table of states.
  const lockWait = db.has('states') ? 'h.lock_wait_ms' : 'null'
  const rows = await db.session.query<ViewName & {runs: PastRunRow[]}>(
    `select v.schema_name as "schemaName", v.view_name as "viewName", h.runs
       from ${db.tables.registrations} v
      cross join lateral (
              select json_agg(json_build_array(h.refresh_mode, h.status, h.duration_ms, ${lockWait},
                                               round(extract(epoch from h.started_at) + h.duration_ms / 1000.0, 1))
                              order by h.started_at desc) as runs
                from (select * from ${db.tables.runs} h
                       where h.schema_name = v.schema_name and h.view_name = v.view_name
                       order by h.started_at desc
                       limit ${RUNS_LOOKED_AT}) h) h
      where h.runs is not null`,
  )
  return rows.map(({runs, ...view}) => ({
    ...view,
    runs: runs.map(([mode, status, durationMs, lockWaitMs, endedAt]) => ({
      ...{mode, status, durationMs, lockWaitMs, endedAt},
    })),
  }))
}

/** Groups of registered views whose locks have the same key. */
export async function findLockCollisions(db: Database): Promise<ViewName[][]> {
  const rows = await db.session.query<{views: ViewName[]}>(
    `select json_agg(json_build_object('schemaName', v.schema_name, 'viewName', v.view_name)
                     order by v.schema_name, v.view_name) as views
       from ${db.tables.registrations} v
      group by ${viewKey("v.schema_name || '.' || v.view_name")}
     having count(*) > 1`,
  )
  return rows.map(({views}) => views)
}

/** Whether the server counts what happens to tables, and since when it runs, in seconds since 1970. */
export async function readServer(db: Database): Promise<{countsActivity: boolean; serverStartedAt: number}> {
  const [row] = await db.session.query<{is_on: boolean; started_at: number}>(
    `select current_setting('track_counts')::boolean as is_on,
            extract(epoch from pg_postmaster_start_time())::float8 as started_at`,
  )
  return {countsActivity: row?.is_on ?? true, serverStartedAt: row?.started_at ?? 0}
}

/** What refreshes of a view have written into temporary files since the counters were reset. */
export interface TemporaryFiles {
  /** The statement, as its session sent it. */
  statement: string
  refreshes: number
  bytes: number
}

/** What the extension pg_stat_statements has counted; nothing where it is not there, or not loaded. */
export async function readTemporaryFiles({session}: Database): Promise<TemporaryFiles[]> {
  const [extension] = await session.query<{schema_name: string}>(
    `select quote_ident(n.nspname) as schema_name
       from pg_extension e join pg_namespace n on n.oid = e.extnamespace
      where e.extname = 'pg_stat_statements' and current_setting('pg_stat_statements.track', true) is not null
        and has_schema_privilege(n.oid, 'USAGE')`,
  )
  if (!extension) return []
  const counted = session.query<TemporaryFiles>(
    `select s.query as statement, s.calls::int as refreshes,
            s.temp_blks_written::float8 * current_setting('block_size')::int as bytes
       from ${extension.schema_name}.pg_stat_statements s
      where s.dbid = (select d.oid from pg_database d where d.datname = current_database())
        and s.calls > 0 and s.temp_blks_written > 0 and s.query ~* '^\\s*refresh\\s+materialized\\s+view\\s'`,
  )
  return counted.catch((error) => {
    // A setting of the extension can stand in the configuration of a server that has not loaded it.
    const {OBJECT_NOT_IN_PREREQUISITE_STATE, INSUFFICIENT_PRIVILEGE} = SQLSTATE
    if (hasSqlstate(error, OBJECT_NOT_IN_PREREQUISITE_STATE, INSUFFICIENT_PRIVILEGE)) return []
    throw error
  })
}
