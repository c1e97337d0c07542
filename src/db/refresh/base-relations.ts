import {BoundedMap} from '../../lib/bounded-map.ts'
import {lockName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records.ts'
import type {Database, Server} from '../database.ts'

/** Holds what was seen, for the length of one transaction. */
const SETTING = 'ayb.base_relations'

/**
 * SQL: a hash of the files of all relations that the query of a view reads: through plain views, partitions
 * and child tables, and functions whose body Postgres tracks; not what lies below another materialized view.
 * TRUNCATE and every rewrite give a table another file.
 */
const filesHash = (schema: string, view: string): string =>
  `(with recursive target(id) as (
     select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${schema} and c.relname = ${view}),
   below(class_id, id, kind) as (
     select 'pg_class'::regclass::oid, id, null::"char" from target
      union
     select s.class_id, s.id, c.relkind
       from below b
      cross join lateral (
        select d.refclassid as class_id, d.refobjid as id
          from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
         where b.class_id = 'pg_class'::regclass and r.ev_class = b.id and b.kind is distinct from 'm'
           and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)
         union all
        select d.refclassid, d.refobjid
          from pg_depend d
         where b.class_id = 'pg_proc'::regclass and d.classid = 'pg_proc'::regclass and d.objid = b.id
           and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)
         union all
        select 'pg_class'::regclass::oid, i.inhrelid
          from pg_inherits i
         where b.class_id = 'pg_class'::regclass and i.inhparent = b.id) s
       left join pg_class c on s.class_id = 'pg_class'::regclass and c.oid = s.id
      where s.id not in (select id from target))
   select md5(coalesce(string_agg(distinct c.oid || ':' || c.relfilenode, ' '), ''))
     from below b join pg_class c on c.oid = b.id
    where b.class_id = 'pg_class'::regclass and b.kind is not null)`

/**
 * SQL: the files of the tables that the query of a view reads, for a view that names nothing but tables and
 * materialized views; null where the query reads a plain view, a partitioned table, a table with children or
 * a function. Takes a fifth of the time of `filesHash`, most of which is the start of a larger plan.
 */
const tableFiles = (schema: string, view: string): string =>
  `(select case when bool_or(d.refclassid = 'pg_proc'::regclass or c.relkind in ('v', 'p') or c.relhassubclass) then null
                else coalesce(string_agg(distinct c.oid || ':' || c.relfilenode, ' '), '') end
      from pg_namespace n
      join pg_class t on t.relnamespace = n.oid and t.relname = ${view}
      join pg_rewrite r on r.ev_class = t.oid
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
       and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)
      left join pg_class c on d.refclassid = 'pg_class'::regclass and c.oid = d.refobjid and c.oid <> t.oid
     where n.nspname = ${schema})`

/** SQL: divides by zero where the files are others than those that were seen. */
const compareSql = (seen: string, files: string): string =>
  `select 1 / (case when ${seen} = ${files} then 1 else 0 end)`

/** The statements around a REFRESH, in its transaction. */
interface SnapshotGuard {
  /** In front of REFRESH. */
  before: string[]
  /** Behind REFRESH. Fails where a table was replaced meanwhile. */
  behind: string
}

/**
 * The statements to send in front of a REFRESH and behind it, in its transaction. REFRESH takes its snapshot
 * before it waits for locks: where a load truncates a table and commits meanwhile, the snapshot shows neither
 * the old rows, which are gone, nor the new ones, and Postgres reports success (tried on 15 and 18: 0 rows
 * instead of 20). The statement behind REFRESH fails then, with SQLSTATE 22012, so that the transaction is
 * rolled back. A session that keeps no statements reads the hash at once: in front of REFRESH, the text would
 * hide it in pg_stat_activity.
 */
export async function snapshotGuard(db: Database, view: ViewName): Promise<SnapshotGuard> {
  const {session} = db
  const names = namesOf(db, view)
  if (!session.keepsStatements) {
    const rows = await session.query<{hash: string}>(`select ${filesHash(...names)} as hash`)
    return {before: [], behind: compareSql(session.literal(rows[0]?.hash ?? ''), filesHash(...names))}
  }
  const [what, files] = (await readsTablesOnly(db, view))
    ? (['tables', tableFiles] as const)
    : (['all relations', filesHash] as const)
  const execute = async (purpose: string, write: () => string) =>
    `execute ${await session.prepare(`${purpose} ${what}`, ['text', 'text'], write)} (${names.join(', ')})`
  const seen = `current_setting('${SETTING}', true)`
  // A view that has come to read more than tables fails here, before its REFRESH is run in vain.
  const remember = () =>
    `select set_config('${SETTING}', s.files, true), 1 / (s.files is not null)::int
       from (select ${files('$1', '$2')} as files offset 0) s`
  return {
    before: [await execute('files of', remember)],
    behind: await execute('same files of', () => compareSql(seen, files('$1', '$2'))),
  }
}

/** The names of a view as literals. */
const namesOf = ({session}: Database, {schemaName, viewName}: ViewName): [string, string] => [
  session.literal(schemaName),
  session.literal(viewName),
]

/**
 * A worker runs for months, while views come and go: without a limit, the shapes of all views that were ever
 * refreshed would stay in memory.
 */
const MOST_SHAPES = 10_000

/** Whether each view reads nothing but tables, by server and view, for all sessions of this process. */
const shapes = new WeakMap<Server, BoundedMap<string, boolean>>()

/**
 * Looks once for each view. When the view comes to read more than tables, the guard fails, and `forgetShape`
 * has the next guard look again.
 */
async function readsTablesOnly(db: Database, view: ViewName): Promise<boolean> {
  const known = shapes.get(db.server) ?? new BoundedMap<string, boolean>(MOST_SHAPES)
  shapes.set(db.server, known)
  const name = lockName(view)
  const seen = known.get(name)
  if (seen !== undefined) return seen
  const sql = `select ${tableFiles('$1::text', '$2::text')} is not null as is_simple`
  const rows = await db.session.query<{is_simple: boolean}>(sql, [view.schemaName, view.viewName])
  const isSimple = rows[0]?.is_simple === true
  known.set(name, isSimple)
  return isSimple
}

/** Has the next guard of the view look at its shape again. */
export function forgetShape({server}: Database, view: ViewName): void {
  shapes.get(server)?.delete(lockName(view))
}
