import type {ViewName} from '../lib/records.ts'
import type {Database} from './database.ts'
import {notFoundIfUnencodable} from './encoding.ts'

/**
 * What can be done with a column without running anybody's code: `builtin` is of a type of Postgres itself; of an
 * `enum` the label can be compared; anything else (`foreign`) is shown as its text.
 */
type ColumnKind = 'builtin' | 'enum' | 'foreign'

export interface CollectionColumn {
  name: string
  /** As people know the type, domains looked through. */
  type: string
  /** Its name in pg_catalog, for a builtin one. */
  baseType: string
  kind: ColumnKind
  /** Whether Postgres itself has an order for it. */
  isOrdered: boolean
  /** Of an enum. */
  labels: string[] | null
}

/** A materialized view as far as reading it is concerned. */
export interface Collection extends ViewName {
  owner: string
  schemaOwner: string
  populated: boolean
  mayUseSchema: boolean
  mayRead: boolean
  /** The statements that would let the current role do what it may not. */
  grants: {useSchema: string; read: string}
  columns: CollectionColumn[]
  /** A function of an untrusted role that planning a query on the view could run. */
  untrustedFunction: {name: string; owner: string} | null
}

interface CollectionRow {
  owner: string
  schema_owner: string
  populated: boolean
  may_use_schema: boolean
  may_read: boolean
  grant_schema: string
  grant_read: string
  columns: CollectionColumn[] | null
  untrusted_function: {name: string; owner: string} | null
}

/** SQL: whether a type of pg_catalog, or the elements of an array of them, have a default order there. */
const hasOrder = (type: string): string =>
  `exists (select from pg_opclass o join pg_am m on m.oid = o.opcmethod
            where m.amname = 'btree' and o.opcdefault and o.opcnamespace = 'pg_catalog'::regnamespace
              and (o.opcintype = ${type}.oid
                   or ${type}.typtype = 'r' and o.opcintype = 'anyrange'::regtype
                   or ${type}.typtype = 'm' and o.opcintype = 'anymultirange'::regtype
                   or exists (select from pg_cast x where x.castsource = ${type}.oid and x.casttarget = o.opcintype
                                 and x.castmethod = 'b' and x.castcontext = 'i')))`

/**
 * The materialized view of that name with its columns, domains looked through; null where there is none. Planning a
 * query evaluates the constant parts of index expressions, predicates and statistics as the role that asks, which no
 * transaction or privilege prevents: so it tells of functions there that are neither Postgres's own nor of a role that
 * is trusted with our tables.
 */
export async function describeCollection(db: Database, view: ViewName): Promise<Collection | null> {
  const found = db.session.query<CollectionRow>(
    `with recursive target as (
       select c.oid, c.relname, c.relowner, c.relispopulated, n.oid as schema_id, n.nspname, n.nspowner
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = $1 and c.relname = $2 and c.relkind = 'm'),
     typed as (
       select a.attnum, a.attname, a.atttypid as type_id
         from target join pg_attribute a on a.attrelid = target.oid
        where a.attnum > 0 and not a.attisdropped
        union all
       select d.attnum, d.attname, t.typbasetype
         from typed d join pg_type t on t.oid = d.type_id
        where t.typtype = 'd'),
     described as (
       select y.attnum, y.attname as name, format_type(t.oid, null) as type, t.typname as "baseType",
              case when t.typtype = 'e' then 'enum'
                   when t.typnamespace = 'pg_catalog'::regnamespace then 'builtin' else 'foreign' end as kind,
              case when t.typtype = 'e' then true
                   when t.typnamespace <> 'pg_catalog'::regnamespace then false
                   when e.oid is not null then ${hasOrder('e')}
                   else ${hasOrder('t')} end as "isOrdered",
              case when t.typtype = 'e' then
                (select json_agg(l.enumlabel order by l.enumsortorder) from pg_enum l where l.enumtypid = t.oid)
              end as labels
         from typed y
         join pg_type t on t.oid = y.type_id
         left join pg_type e on e.oid = t.typelem and e.typarray = t.oid
        where t.typtype <> 'd'),
     planned as (
       select 'pg_class'::regclass as class_id, i.indexrelid as id from target join pg_index i on i.indrelid = target.oid
        union all
       select 'pg_statistic_ext'::regclass, s.oid from target join pg_statistic_ext s on s.stxrelid = target.oid),
     used as (
       select coalesce(o.oprcode::oid, d.refobjid) as function_id
         from planned join pg_depend d on d.classid = planned.class_id and d.objid = planned.id
         left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
        where d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass))
     select pg_get_userbyid(v.relowner) as owner, pg_get_userbyid(v.nspowner) as schema_owner,
            v.relispopulated as populated, has_schema_privilege(v.schema_id, 'USAGE') as may_use_schema,
            has_table_privilege(v.oid, 'SELECT') as may_read,
            format('GRANT USAGE ON SCHEMA %I TO %I;', v.nspname, current_user) as grant_schema,
            format('GRANT SELECT ON %I.%I TO %I;', v.nspname, v.relname, current_user) as grant_read,
            (select json_agg(described order by described.attnum) from described) as columns,
            (select json_build_object('name', format('%I.%I', n.nspname, p.proname), 'owner', r.rolname)
               from used join pg_proc p on p.oid = used.function_id
               join pg_namespace n on n.oid = p.pronamespace
               join pg_roles r on r.oid = p.proowner
               join pg_database d on d.datname = current_database()
              where not (r.rolname = current_user or r.rolsuper or r.oid = d.datdba or coalesce(r.rolname = $3, false))
              order by n.nspname, p.proname limit 1) as untrusted_function
       from target v`,
    [view.schemaName, view.viewName, db.trustedOwner],
  )
  const [row] = await found.catch(notFoundIfUnencodable(view))
  if (!row) return null
  return {
    ...view,
    owner: row.owner,
    schemaOwner: row.schema_owner,
    populated: row.populated,
    mayUseSchema: row.may_use_schema,
    mayRead: row.may_read,
    grants: {useSchema: row.grant_schema, read: row.grant_read},
    columns: row.columns ?? [],
    untrustedFunction: row.untrusted_function,
  }
}
