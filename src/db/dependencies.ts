import {qualifiedName, quoteIfNeeded} from '../lib/identifier.ts'
import type {FoundView} from '../lib/records/graph.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {Database} from './database.ts'
import {type Dependencies, type DependencyObject, reduceDependencies} from './reduce-dependencies.ts'

interface ObjectRow {
  key: string
  kind: 'matview' | 'view' | 'function' | 'opaque function' | 'operator'
  schema_name: string
  name: string
  arguments: string | null
  registered: boolean
  populated: boolean
  /** Keys with spaces between. */
  reads: string | null
}

/** SQL: an object of the catalogs as one number, which an array can hold: its class and its OID. */
const key = (classId: string, id: string): string => `((${classId}::bigint << 32) | ${id}::bigint)`

/**
 * SQL: the keys of what the object of that class and OID refers to. Tables are among them, too: they read
 * nothing, so that partitions and child tables lead nowhere. The aggregate keeps the planner from anything
 * but a look at the indexes of pg_depend, object by object.
 */
const readsOf = (classId: string, id: string): string =>
  `(select array_agg(distinct ${key('d.refclassid', 'd.refobjid')}) as reads
      from (select 'pg_rewrite'::regclass::oid as class_id, r.oid as id
              from pg_rewrite r
             where ${classId} = 'pg_class'::regclass and r.ev_class = ${id} and r.ev_type = '1'
             union all
            select ${classId}, ${id}
             where ${classId} in ('pg_proc'::regclass, 'pg_operator'::regclass)) o
      join pg_depend d on d.classid = o.class_id and d.objid = o.id
     where d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)
       and ${key('d.refclassid', 'd.refobjid')} <> ${key(classId, id)})`

/**
 * All materialized views of the database, or some and those that they read, directly or not; which of them
 * reads which, and which call a function whose body Postgres does not track. One statement, which looks at
 * each object once, however many views read it.
 */
export async function readDependencies(
  db: Database,
  views: readonly ViewName[] | null = null,
): Promise<Dependencies> {
  const registered = db.has('registrations')
    ? `exists (select from ${db.tables.registrations} r where r.schema_name = n.nspname and r.view_name = c.relname)`
    : 'false'
  const rows = await db.session.query<ObjectRow>(
    `with recursive object(class_id, id, reads) as (
       select 'pg_class'::regclass::oid, c.oid, s.reads
         from pg_class c
        cross join lateral ${readsOf("'pg_class'::regclass::oid", 'c.oid')} s
        where c.relkind = 'm'
          ${views ? `and c.oid in ${MEANT}` : ''}
        union
       select t.class_id, t.id, s.reads
         from (select distinct (k >> 32)::oid as class_id, (k & 4294967295)::oid as id
                 from object o, unnest(o.reads) as k) t
        cross join lateral ${readsOf('t.class_id', 't.id')} s)
     select ${key('o.class_id', 'o.id')} as key,
            case c.relkind when 'm' then 'matview' else 'view' end as kind,
            n.nspname as schema_name, c.relname as name, null as arguments,
            c.relkind = 'm' and ${registered} as registered, c.relispopulated as populated,
            array_to_string(o.reads, ' ') as reads
       from object o
       join pg_class c on c.oid = o.id
       join pg_namespace n on n.oid = c.relnamespace
      where o.class_id = 'pg_class'::regclass and c.relkind in ('m', 'v')
      union all
     select ${key('o.class_id', 'o.id')},
            case when ${OPAQUE_FUNCTION} then 'opaque function' else 'function' end,
            n.nspname, p.proname, oidvectortypes(p.proargtypes), false, false, array_to_string(o.reads, ' ')
       from object o
       join pg_proc p on p.oid = o.id
       join pg_namespace n on n.oid = p.pronamespace
      where o.class_id = 'pg_proc'::regclass
      union all
     select ${key('o.class_id', 'o.id')}, 'operator', '', '', null, false, false, array_to_string(o.reads, ' ')
       from object o
      where o.class_id = 'pg_operator'::regclass
      order by schema_name, name, arguments`,
    views ? [views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName)] : [],
  )
  return reduceDependencies(rows.map(toObject))
}

/**
 * Whether a view reads tables alone: no view, and no function or operator that may read views. Takes a third of
 * the time of `readDependencies`.
 */
export async function readsTablesAlone({session}: Database, view: ViewName): Promise<boolean> {
  const [row] = await session.query<{reads_more: boolean}>(
    `select exists (
       select from pg_namespace n
         join pg_class v on v.relnamespace = n.oid
         join pg_rewrite r on r.ev_class = v.oid
         join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
         left join pg_class c on d.refclassid = 'pg_class'::regclass and c.oid = d.refobjid
        where n.nspname = $1 and v.relname = $2 and d.refobjid <> v.oid
          and (d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass) or c.relkind in ('m', 'v'))) as reads_more`,
    [view.schemaName, view.viewName],
  )
  return row?.reads_more === false
}

/** SQL: the OIDs of what has the names in `$1` and `$2`. */
const MEANT = `(select m.oid from unnest($1::text[], $2::text[]) v(schema_name, view_name)
                             join pg_namespace x on x.nspname = v.schema_name
                             join pg_class m on m.relnamespace = x.oid and m.relname = v.view_name)`

/**
 * SQL: whether the function under alias `p` may read views unseen. The result of an immutable function
 * depends only on its arguments, and functions of extensions do not read views of users. For an aggregate,
 * its functions are checked.
 */
const OPAQUE_FUNCTION = `p.prosqlbody is null and p.provolatile <> 'i' and p.prokind <> 'a'
            and p.prolang <> (select l.oid from pg_language l where l.lanname = 'internal')
            and n.nspname not in ('pg_catalog', 'information_schema')
            and not exists (select from pg_depend e where e.classid = 'pg_proc'::regclass and e.objid = p.oid
                                                      and e.deptype = 'e')`

function toObject(row: ObjectRow): DependencyObject {
  const reads = row.reads === null ? [] : row.reads.split(' ')
  const name = {schemaName: row.schema_name, viewName: row.name}
  const common = {key: row.key, reads}
  switch (row.kind) {
    case 'matview': {
      const {registered, populated} = row
      const node: FoundView = {...name, registered, populated}
      return {...common, kind: 'matview', node}
    }
    case 'view':
      return {...common, kind: 'between', label: qualifiedName(name), isOpaque: false}
    case 'operator':
      return {...common, kind: 'between', label: null, isOpaque: false}
    default: {
      const label = `${quoteIfNeeded(row.schema_name)}.${quoteIfNeeded(row.name)}(${row.arguments ?? ''})`
      return {...common, kind: 'between', label, isOpaque: row.kind === 'opaque function'}
    }
  }
}
