import type {ViewName} from '../lib/records.ts'
import type {Session} from './session.ts'

/** Holds what was seen, for the length of one transaction. */
const SETTING = 'ayb.base_relations'

/**
 * SQL: a hash of the files of all relations that the query of a view reads: through plain views, partitions and child
 * tables, and functions whose body Postgres tracks; not what lies below another materialized view. TRUNCATE and every
 * rewrite give a table another file.
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

/** SQL: remembers which files the view's query reads, until the transaction ends. */
const rememberSql = (schema: string, view: string): string =>
  `select set_config('${SETTING}', ${filesHash(schema, view)}, true)`

/** SQL: divides by zero where the files are others than those that were remembered. */
const compareSql = (schema: string, view: string): string =>
  `select 1 / (case when current_setting('${SETTING}', true) = ${filesHash(schema, view)} then 1 else 0 end)`

/**
 * The statements to send in front of a REFRESH and behind it, in its transaction. REFRESH takes its snapshot before it
 * waits for locks: where a load truncates a table and commits meanwhile, the snapshot shows neither the old rows, which
 * are gone, nor the new ones, and Postgres reports success (tried on 15 and 18: 0 rows instead of 20). The second
 * statement fails then, with SQLSTATE 22012, so that the transaction is rolled back.
 */
export async function snapshotGuard(
  session: Session,
  {schemaName, viewName}: ViewName,
): Promise<{remember: string; compare: string}> {
  const values = [schemaName, viewName].map((name) => session.literal(name)) as [string, string]
  if (!session.keepsStatements) return {remember: rememberSql(...values), compare: compareSql(...values)}
  const execute = async (sql: string) =>
    `execute ${await session.prepare(sql, ['text', 'text'])} (${values.join(', ')})`
  return {
    remember: await execute(rememberSql('$1', '$2')),
    compare: await execute(compareSql('$1', '$2')),
  }
}
