import type {Comparison} from '../lib/collection-query.ts'
import type {ViewName} from '../lib/records/values.ts'
import {notFoundIfUnencodable} from './encoding.ts'
import type {Session} from './session.ts'

/**
 * What can be done with a column: `builtin` is of a type of Postgres itself; of an `enum` the label is
 * compared; an `extension` brought operators of its own; an `array` of other types is shown as an array;
 * anything else (`foreign`) is shown as its text.
 */
type ColumnKind = 'builtin' | 'enum' | 'extension' | 'array' | 'foreign'

export interface CollectionColumn {
  name: string
  /** The usual name of the type; for a domain, of its base type. */
  type: string
  /** As SQL names the type that values are read as: quoted, with its schema. */
  sqlType: string
  kind: ColumnKind
  /** Whether the type has an order of its own. */
  isOrdered: boolean
  /** Whether values name database objects: comparing with such a value reveals whether the object exists. */
  isObjectName: boolean
  /** Of an extension: the operators of its order, as SQL names them. */
  operators: Record<Exclude<Comparison, 'ne'>, string> | null
  /** Of an enum. */
  labels: string[] | null
  /** Whether the current role may read the column. */
  mayRead: boolean
}

/** What a read needs to know about a materialized view. */
export interface Collection extends ViewName {
  owner: string
  schemaOwner: string
  populated: boolean
  /**
   * Whether this transaction holds a lock of the view: until it ends nobody can drop, rename or change the
   * view.
   */
  isHeld: boolean
  mayUseSchema: boolean
  /** Whether the role may read the whole view, including the system columns. */
  mayReadAll: boolean
  /** The statements that would give the current role the missing rights. */
  grants: {useSchema: string; read: string}
  columns: CollectionColumn[]
  /** Objects that a read uses and whose owner could not act as the current role anyway. */
  stranger: Stranger | null
}

interface Stranger {
  what: string
  owner: string
  /** The current role. */
  reader: string
}

interface CollectionRow {
  owner: string
  schema_owner: string
  populated: boolean
  is_held: boolean
  may_use_schema: boolean
  may_read: boolean
  grant_schema: string
  grant_read: string
  columns: CollectionColumn[] | null
  stranger: Stranger | null
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
 * SQL: whether a role could act as the current role anyway, with SET ROLE or by granting itself the right.
 * From 16 on, a membership may allow neither.
 */
function couldActAs(owner: string, serverVersion: number): string {
  const ways = serverVersion >= 160_000 ? ['SET', 'MEMBER WITH ADMIN OPTION'] : ['MEMBER']
  return ['current_user', 'session_user']
    .map((user) => `(${ways.map((way) => `pg_has_role(${owner}, ${user}, '${way}')`).join(' or ')})`)
    .join(' and ')
}

/**
 * The materialized view of that name with its columns, domains looked through; null where there is none.
 *
 * The planner calls functions that the owner of the view chose, with the rights of the reader: in predicates
 * and expressions of indexes, in statistics, and of range types. Neither privileges nor a read-only
 * transaction prevent this. So the query returns the first such object whose owner could not act as the
 * reader anyway. The schema counts, since its owner can replace the view, or a type of an extension, at any
 * time.
 */
export async function describeCollection(session: Session, view: ViewName): Promise<Collection | null> {
  const found = session.query<CollectionRow>(
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
       select y.attnum, y.attname as name, format_type(t.oid, null) as type,
              case when k.kind <> 'array' then format('%I.%I', n.nspname, t.typname)
                   when b.typnamespace = 'pg_catalog'::regnamespace and b.typelem = 0
                     then format('pg_catalog.%I[]', b.typname)
                   else 'pg_catalog.text[]' end as "sqlType",
              k.kind,
              case k.kind when 'enum' then true
                          when 'extension' then s.operators is not null
                          when 'builtin' then case when e.oid is null then ${hasOrder('t')} else ${hasOrder('e')} end
                          else false end as "isOrdered",
              k.kind = 'builtin' and t.typname ~ '^_?reg' as "isObjectName",
              case when k.kind = 'extension' then s.operators end as operators,
              case when k.kind = 'enum' then
                (select json_agg(l.enumlabel order by l.enumsortorder) from pg_enum l where l.enumtypid = t.oid)
              end as labels,
              has_column_privilege(target.oid, y.attnum, 'SELECT') as "mayRead"
         from target cross join typed y
         join pg_type t on t.oid = y.type_id
         join pg_namespace n on n.oid = t.typnamespace
         left join pg_type e on e.oid = t.typelem and e.typarray = t.oid
         left join lateral (
           with recursive base as (
             select e.oid
              union all
             select d.typbasetype from base join pg_type d on d.oid = base.oid where d.typtype = 'd')
           select d.typname, d.typnamespace, d.typelem
             from base join pg_type d on d.oid = base.oid
            where d.typtype <> 'd') b on true
         left join lateral (
           select json_object_agg((array['lt', 'lte', 'eq', 'gte', 'gt'])[p.amopstrategy],
                                  format('operator(%I.%s)', x.nspname, o.oprname)) as operators
             from pg_opclass c
             join pg_am m on m.oid = c.opcmethod
             join pg_amop p on p.amopfamily = c.opcfamily and p.amoplefttype = t.oid and p.amoprighttype = t.oid
             join pg_operator o on o.oid = p.amopopr
             join pg_namespace x on x.oid = o.oprnamespace
            where m.amname = 'btree' and c.opcdefault and c.opcintype = t.oid and p.amoppurpose = 's') s on true
        cross join lateral (
           select case when t.typtype = 'e' then 'enum'
                       when t.typnamespace = 'pg_catalog'::regnamespace then 'builtin'
                       when e.typdelim = ',' then 'array'
                       when t.typtype = 'b' and e.oid is null then 'extension'
                       else 'foreign' end as kind) k
        where t.typtype <> 'd'),
     planned as (
       select 'pg_class'::regclass as class_id, i.indexrelid as id from target join pg_index i on i.indrelid = target.oid
        union all
       select 'pg_statistic_ext'::regclass, s.oid from target join pg_statistic_ext s on s.stxrelid = target.oid),
     used as (
       select d.refclassid as class_id, d.refobjid as id
         from planned join pg_depend d on d.classid = planned.class_id and d.objid = planned.id),
     made_of as (
       select a.atttypid as type_id from target join pg_attribute a on a.attrelid = target.oid and a.attnum > 0
        union
       select used.id from used where used.class_id = 'pg_type'::regclass
        union
       select p.part
         from made_of m
        cross join lateral (
           select t.typelem from pg_type t where t.oid = m.type_id and t.typelem <> 0
            union all
           select t.typbasetype from pg_type t where t.oid = m.type_id and t.typbasetype <> 0
            union all
           select r.rngsubtype from pg_range r where r.rngtypid = m.type_id
            union all
           select r.rngtypid from pg_range r where r.rngmultitypid = m.type_id
            union all
           select a.atttypid
             from pg_type t join pg_attribute a on a.attrelid = t.typrelid
            where t.oid = m.type_id and t.typtype = 'c' and a.attnum > 0 and not a.attisdropped) p(part)),
     run as (
       select used.id from used where used.class_id = 'pg_proc'::regclass
        union
       select o.oprcode from used join pg_operator o on o.oid = used.id where used.class_id = 'pg_operator'::regclass
        union
       select unnest(array[r.rngcanonical, r.rngsubdiff]::oid[])
         from made_of m join pg_range r on r.rngtypid = m.type_id),
     owned as (
       select 1 as place, 'the view' as what, target.relowner as owner from target
        union all
       select 2, 'its schema', target.nspowner from target
        union all
       select 3, format('the type %s', format_type(t.oid, null)), t.typowner
         from made_of m join pg_type t on t.oid = m.type_id
        union all
       select 4, format('the schema of the type %s', format_type(t.oid, null)), n.nspowner
         from made_of m join pg_type t on t.oid = m.type_id join pg_namespace n on n.oid = t.typnamespace
        where t.typtype = 'b' and t.typcategory <> 'A'
        union all
       select 5, format('the function %s', p.oid::regprocedure), p.proowner
         from run join pg_proc p on p.oid = run.id),
     stranger as (
       select o.place, o.what, r.owner
         from owned o
         join pg_database d on d.datname = current_database()
        cross join lateral (
           select case when pg_get_userbyid(o.owner) = 'pg_database_owner' then d.datdba else o.owner end as owner) r
        where not (${couldActAs('r.owner', session.serverVersion)})
        order by o.place, o.what
        limit 1)
     select pg_get_userbyid(v.relowner) as owner, pg_get_userbyid(v.nspowner) as schema_owner,
            v.relispopulated as populated, has_schema_privilege(v.schema_id, 'USAGE') as may_use_schema,
            exists (select from pg_locks l
                     where l.locktype = 'relation' and l.relation = v.oid and l.pid = pg_backend_pid() and l.granted
                       and l.database = (select d.oid from pg_database d where d.datname = current_database())) as is_held,
            has_table_privilege(v.oid, 'SELECT') as may_read,
            format('GRANT USAGE ON SCHEMA %I TO %I;', v.nspname, current_user) as grant_schema,
            format('GRANT SELECT ON %I.%I TO %I;', v.nspname, v.relname, current_user) as grant_read,
            (select json_agg(described order by described.attnum) from described) as columns,
            (select json_build_object('what', s.what, 'owner', pg_get_userbyid(s.owner), 'reader', current_user)
               from stranger s) as stranger
       from target v`,
    [view.schemaName, view.viewName],
  )
  const [row] = await found.catch(notFoundIfUnencodable(view))
  if (!row) return null
  return {
    ...view,
    owner: row.owner,
    schemaOwner: row.schema_owner,
    populated: row.populated,
    isHeld: row.is_held,
    mayUseSchema: row.may_use_schema,
    mayReadAll: row.may_read,
    grants: {useSchema: row.grant_schema, read: row.grant_read},
    columns: row.columns ?? [],
    stranger: row.stranger,
  }
}
