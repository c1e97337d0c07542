import {counters, type DefinitionFlags, definitionKey, FIRST_USER_OID, ownState} from './parts.ts'

/** The versions of Postgres whose counters and definitions were tried. */
export const OLDEST_VERSION = 150_000
export const FIRST_UNKNOWN_VERSION = 190_000

/** SQL: settings that stable functions read. */
const SETTINGS = [
  'TimeZone',
  'timezone_abbreviations',
  'DateStyle',
  'IntervalStyle',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'extra_float_digits',
  'default_text_search_config',
  'bytea_output',
  'xmloption',
  'xmlbinary',
  'quote_all_identifiers',
  'array_nulls',
  'standard_conforming_strings',
]
  .map((name) => `current_setting('${name}')`)
  .join(', ')

/**
 * SQL: parts of a WITH RECURSIVE. `rels` are the relations that are read for a root, but for plain views,
 * with the partitions and the children, however deep; `base` is a query of such roots and OIDs.
 */
const relations = (base: string): string => `
below(root, oid, is_detaching) as (
  ${base}
   union
  select b.root, i.inhrelid, i.inhdetachpending
    from below b join pg_class p on p.oid = b.oid and p.relhassubclass join pg_inherits i on i.inhparent = b.oid),
rels as materialized (
  select b.root, b.is_detaching, c.oid, c.relname, c.relnamespace, c.relkind, c.relam, c.relfilenode, c.relrowsecurity
    from below b join pg_class c on c.oid = b.oid)`

/** SQL: what forbids skipping in the relations, a row each. */
const RELATION_BLOCKERS = `
  select r.root, r.oid as relation, f.kind, r.relname::text as name
    from rels r
   cross join lateral (values ('catalog', r.oid < ${FIRST_USER_OID}), ('foreign', r.relkind = 'f'), ('sequence', r.relkind = 'S'),
                              ('kind', r.relkind not in ('r', 'p', 'm', 'f', 'S')), ('row-security', r.relrowsecurity),
                              ('access-method', r.relkind in ('r', 'm') and r.relam <> 2)) f(kind, holds)
   where f.holds`

/** SQL: what forbids skipping in the session, the database or the server, a row each. */
const SURROUNDINGS = `
  select 'track-counts' as kind, '' as name where current_setting('track_counts') <> 'on'
   union all
  select distinct 'track-counts-set', '' from pg_db_role_setting s, unnest(s.setconfig) o
   where s.setdatabase in (0, (select d.oid from pg_database d where d.datname = current_database()))
     and lower(o) like 'track_counts=%'`

/** SQL: changes whenever counters can have been lost; null where a part cannot be read. */
const EPOCH = `
epoch as materialized (
  select k.system_identifier || ' ' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) || ' ' || d.oid
         || ' ' || extract(epoch from a.stats_reset)
         || ' ' || coalesce(extract(epoch from pg_stat_get_db_stat_reset_time(d.oid))::text, '-') as parts
    from pg_control_system() k, pg_stat_get_archiver() a, pg_database d
   where d.datname = current_database())`

/**
 * SQL: the fingerprint of all that a view reads, what forbids skipping beside the definition, and the state
 * of the view itself, in one row; none where there is no such materialized view. The values are expressions;
 * `extra` is text that the fingerprint covers, too.
 */
export function fingerprintSql(
  values: Record<'schema' | 'view' | 'extra' | 'views' | 'base' | 'rows', string>,
  flags: DefinitionFlags,
  {serverVersion, stored}: {serverVersion: number /** More columns. */; stored: string},
): string {
  // REFRESH brings a path of its own from 17 on; before, functions find bare names by that of the role.
  const path =
    flags.hasUserCode && serverVersion < 170_000
      ? `,\n         (select s.reset_val from pg_settings s where s.name = 'search_path')`
      : ''
  const virtual = flags.hasVirtualColumns
    ? `,\n         (select string_agg(x.oid || ':' || x.xmin, ' ' order by x.oid)
            from pg_attrdef x join pg_attribute a on a.attrelid = x.adrelid and a.attnum = x.adnum and a.attgenerated = 'v'
           where x.adrelid in (select r.oid from rels r))`
    : ''
  // Out of the planner's sight: the plan is the same for all views, and the server keeps it.
  const asked = (name: string) => `(select asked.${name} from asked)::oid[]`
  const lists = {views: asked('views'), base: asked('base'), rows: asked('rows')}
  const base = 'select 0::oid, v.oid, false from asked, unnest(asked.base) v(oid)'
  return `with recursive
asked as materialized (select ${values.views} as views, ${values.base} as base, ${values.rows} as rows),
target as materialized (
  select c.oid, c.relfilenode, c.relispopulated
    from pg_namespace n join pg_class c on c.relnamespace = n.oid
   where n.nspname = ${values.schema} and c.relname = ${values.view} and c.relkind = 'm'),${relations(base)},${EPOCH},
keys as materialized (select ${definitionKey(lists, flags)} as key),
blockers as (select kind, name from (${RELATION_BLOCKERS}) r union all ${SURROUNDINGS}
   union all
  select 'epoch', '' from epoch where epoch.parts is null
   union all
  select 'not-populated', '' from target where not relispopulated)
select md5(concat_ws(chr(10), epoch.parts, ${values.extra}, ${SETTINGS}, keys.key,
         (select string_agg(concat_ws(':', r.oid, r.relkind, r.relam, r.relfilenode, r.is_detaching,
                   case when r.relkind in ('r', 'm') then concat_ws(':', ${counters('r.oid')}) end), ' ' order by r.oid)
            from rels r)${virtual}${path})) as fingerprint,
       target.oid, keys.key, ${ownState('target')} as own,
       exists (select from rels r where r.relkind <> 'm') as reads_tables,
       coalesce((select json_agg(json_build_object('schemaName', n.nspname, 'viewName', r.relname))
                   from rels r join pg_namespace n on n.oid = r.relnamespace where r.relkind = 'm'), '[]') as reads,
       coalesce((select json_agg(b order by b.kind, b.name) from blockers b), '[]') as blockers,
       statement_timestamp()::text as looked_at${stored}
  from target, epoch, keys`
}

/** SQL: what forbids skipping in these relations, and in their partitions and children, a row each. */
export const relationBlockersSql = (oids: string): string => `with recursive${relations(
  `select v.oid, v.oid, false from unnest(${oids}) v(oid)`,
)}
select b.root as oid, b.relation, b.kind, b.name from (${RELATION_BLOCKERS}) b`

/** SQL: what forbids skipping any view of the database, a row each. */
export const surroundingsSql = `${SURROUNDINGS}
   union all
  select 'epoch', '' where not has_function_privilege('pg_control_system()', 'execute')`
