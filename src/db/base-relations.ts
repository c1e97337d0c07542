import type {ViewName} from '../lib/records.ts'
import type {Session} from './session.ts'

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

/** SQL: divides by zero where the files are others than those of that hash. */
const compareSql = (hash: string, schema: string, view: string): string =>
  `select 1 / (case when ${hash} = ${filesHash(schema, view)} then 1 else 0 end)`

/**
 * The statements to send in front of a REFRESH and behind it, in its transaction. REFRESH takes its snapshot
 * before it waits for locks: where a load truncates a table and commits meanwhile, the snapshot shows neither
 * the old rows, which are gone, nor the new ones, and Postgres reports success (tried on 15 and 18: 0 rows
 * instead of 20). The statement behind REFRESH fails then, with SQLSTATE 22012, so that the transaction is
 * rolled back. A session that keeps no statements reads the hash at once: in front of REFRESH, the text would
 * hide it in pg_stat_activity.
 */
export async function snapshotGuard(
  session: Session,
  {schemaName, viewName}: ViewName,
): Promise<{before: string[]; behind: string}> {
  const names = [schemaName, viewName].map((name) => session.literal(name)) as [string, string]
  if (!session.keepsStatements) {
    const rows = await session.query<{hash: string}>(`select ${filesHash(...names)} as hash`)
    return {before: [], behind: compareSql(session.literal(rows[0]?.hash ?? ''), ...names)}
  }
  const execute = async (sql: string) =>
    `execute ${await session.prepare(sql, ['text', 'text'])} (${names.join(', ')})`
  const seen = `current_setting('${SETTING}', true)`
  return {
    before: [await execute(`select set_config('${SETTING}', ${filesHash('$1', '$2')}, true)`)],
    behind: await execute(compareSql(seen, '$1', '$2')),
  }
}
