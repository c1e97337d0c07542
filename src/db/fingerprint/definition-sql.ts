import {CLOCK_FUNCTIONS, REPEATABLE_FUNCTIONS} from './functions.ts'
import {definitionKey, FIRST_USER_OID} from './parts.ts'

/**
 * Marks of the fields of a stored query that hold the OID of a function, and of an operator. Fields whose names end
 * alike share a mark: aggfnoid and winfnoid, startInRangeFunc and endInRangeFunc.
 */
const FUNCTION_MARKS = [' :funcid ', 'fnoid ', ' :tsmhandler ', 'InRangeFunc ']
const OPERATOR_MARKS = [' :opno ', ' :eqop ', ' :sortop ', ' :cycle_mark_neop ']
/** How the names of fields go on behind `typ` that hold the OID of a type; `typmod` does not. */
const TYPE_ENDS = "'', 'e', 'eid', 'id', 'eId'"

/**
 * What values of these types look like as text depends on names in the catalogs: regproc, regclass, aclitem …
 */
const NAME_TYPES =
  '24, 2202, 2203, 2204, 2205, 2206, 4089, 4096, 4191, 1008, 2207, 2208, 2209, 2210, 2211, 4090, 4097, 4192, 1033, 1034'
/** regconfig and regdictionary: constants of text search, which a fingerprint holds. */
const SEARCH_TYPES = '3734, 3735, 3769, 3770'

/**
 * What few stored queries have in them. Found by strpos in a text that is unpacked once: a pattern takes ten
 * times as long.
 */
const SPECIAL = [
  ...['SQLVALUEFUNCTION', 'TABLESAMPLECLAUSE', 'NEXTVALUEEXPR', 'JSONEXPR', 'TABLEFUNC', 'COERCEVIAIO'].map(
    (node) => `{${node} `,
  ),
  ':varattno -',
]

const list = (texts: readonly string[]): string =>
  `array[${texts.map((text) => `'${text}'`).join(', ')}]::text[]`

/**
 * SQL: a set of what is behind these marks in a stored query. To cut a text of 5 kB at one mark takes 5 µs;
 * to look at each of its 300 fields takes ten times as long as all marks.
 */
const behind = (marks: readonly string[]): string =>
  `unnest(${marks.map((mark) => `(string_to_array(r.action, '${mark}'))[2:]`).join(' || ')})`

/**
 * SQL: what the queries of the views reach, and the OIDs in the stored queries on the way. The planner adds the
 * default arguments of functions, which no stored query holds: so they count as queries of their own.
 */
const reached = (oids: string): string => `
below(root, class_id, id, kind) as (
  select v.oid, 'pg_class'::regclass::oid, v.oid, 'v'::"char" from unnest(${oids}) v(oid)
   union
  select b.root, s.class_id, s.id, c.relkind
    from below b
   cross join lateral (
     select d.refclassid as class_id, d.refobjid as id
       from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
      where b.kind = 'v' and b.class_id = 'pg_class'::regclass and r.ev_class = b.id and r.ev_type = '1'
        and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)
      union all
     select d.refclassid, d.refobjid
       from pg_depend d
      where b.class_id = 'pg_proc'::regclass and d.classid = 'pg_proc'::regclass and d.objid = b.id
        and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)) s
    left join pg_class c on s.class_id = 'pg_class'::regclass and c.oid = s.id
   where s.class_id <> 'pg_class'::regclass or s.id <> b.root),
marks as materialized (
  select distinct r.root, r.ev_class, m.kind, m.value
    from (select s.root, s.ev_class, s.action || '' as action
            from (select b.root, r.ev_class, r.ev_action::text as action
                    from below b join pg_rewrite r on r.ev_class = b.id and r.ev_type = '1'
                   where b.class_id = 'pg_class'::regclass and b.kind = 'v'
                   union all
                  select b.root, b.id, p.proargdefaults::text
                    from below b join pg_proc p on p.oid = b.id
                   where b.class_id = 'pg_proc'::regclass and p.proargdefaults is not null) s
          offset 0) r
   cross join lateral (
     select 'relation', split_part(part, ' ', 1) from ${behind([' :relid '])} part
      union all
     select 'function', split_part(part, ' ', 1) from ${behind(FUNCTION_MARKS)} part
      union all
     select 'operator', split_part(part, ' ', 1) from ${behind(OPERATOR_MARKS)} part
      union all
     select 'constant', split_part(part, ' ', 1) from ${behind([' :consttype '])} part
      union all
     select 'list', split_part(part, ')', 1) from ${behind(['(o '])} part
      union all
     select 'type', split_part(part, ':', 1) from string_to_table(r.action, 'typ') part where left(part, 1) in (' ', 'e', 'i')
      union all
     select 'special', r.action
      where ${SPECIAL.map((mark) => `strpos(r.action, '${mark}') > 0`).join('\n         or ')}) m(kind, value)),
special as materialized (
  select root, value as action from marks where kind = 'special'),
fields as materialized (
  select f.root, f.ev_class, f.kind, f.digits::oid as id
    from (select root, ev_class, kind,
                 substring(split_part(value, ' ', case kind when 'type' then 2 else 1 end) from '^[0-9]+') as digits
            from marks
           where kind not in ('list', 'special') and (kind <> 'type' or split_part(value, ' ', 1) in (${TYPE_ENDS}))
          offset 0) f
   where f.digits <> '0'),
lists as materialized (
  select distinct m.root, o::oid as id
    from marks m, string_to_table(m.value, ' ') o
   where m.kind = 'list' and o <> '0' and o ~ '^[0-9]+$'),
types as materialized (
  select t.root, t.id, bool_or(t.is_constant) as is_constant
    from (select root, id, kind = 'constant' as is_constant from fields where kind in ('type', 'constant')
           union all select root, id, false from lists) t
   group by t.root, t.id),
inner_types(root, id) as (
  select root, id from types where id >= ${FIRST_USER_OID}
   union
  select u.root, s.id
    from inner_types u
    join pg_type t on t.oid = u.id
   cross join lateral (
     select t.typelem as id
      union all
     select t.typbasetype
      union all
     select g.rngsubtype from pg_range g where g.rngtypid = t.oid or g.rngmultitypid = t.oid
      union all
     select a.atttypid from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) s
   where s.id <> 0),
called as materialized (
  select root, id from fields where kind = 'function'
   union
  select u.root, o.oprcode::oid
    from (select root, id from fields where kind = 'operator' union all select root, id from lists) u
    join pg_operator o on o.oid = u.id
   union
  select r.root, t.typinput::oid
    from special r,
         regexp_matches(r.action, ':resulttype ([0-9]+) :resultcollid [0-9]+ :coerceformat', 'g') m
    join pg_type t on t.oid = m[1]::oid
   where r.action like '%{COERCEVIAIO %'
   union
  select b.root, b.id from below b where b.class_id = 'pg_proc'::regclass),
functions as materialized (
  select u.root, p.oid, p.proname, p.provolatile,
         starts_with(p.proname, 'ts_') or starts_with(p.proname, 'tsquery') or starts_with(p.proname, 'tsvector')
         or right(p.proname, 8) = '_tsquery' or right(p.proname, 9) = '_tsvector' as is_search,
         case when p.provolatile = 's' or p.proname in ('clock_timestamp', 'timeofday')
              then p.proname || '(' || oidvectortypes(p.proargtypes) || ')' end as signature
    from (select root, id from called
           union
          select d.root, f.id
            from called d
            join pg_aggregate a on a.aggfnoid::oid = d.id
           cross join lateral unnest(array[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn,
                                           a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn]::oid[]) f(id)
           where f.id <> 0) u
    join pg_proc p on p.oid = u.id),
facts as materialized (
  select m.root, bool_or(m.is_user) as has_user_code, bool_or(m.is_search) as has_search
    from (select root, oid >= ${FIRST_USER_OID} as is_user,
                 is_search
            from functions
           union all
          select root, id >= ${FIRST_USER_OID}, id in (${SEARCH_TYPES}, 3614, 3615) from types
           union all
          select root, id >= ${FIRST_USER_OID}, false from fields where kind <> 'relation'
           union all
          select root, id >= ${FIRST_USER_OID}, false from lists
           union all
          select root, false, false from below where id = root) m
   group by m.root)`

/** SQL: what forbids skipping, a row each. */
const BLOCKERS = `
blockers(root, kind, name) as materialized (
  select f.root,
         case when f.signature = any (${list(CLOCK_FUNCTIONS)}) and f.oid < ${FIRST_USER_OID} then 'clock'
              when f.provolatile = 'v' then 'volatile' else 'stable' end,
         f.proname::text || '()'
    from functions f
   where f.provolatile = 'v'
      or f.provolatile = 's'
         and (f.oid >= ${FIRST_USER_OID} or f.signature <> all (${list(REPEATABLE_FUNCTIONS)}))
   union
  select r.root, case when m[1]::int <= 8 then 'clock' else 'stable' end,
         case when m[1]::int = 0 then 'current_date' when m[1]::int in (1, 2) then 'current_time'
              when m[1]::int in (3, 4) then 'current_timestamp' when m[1]::int in (5, 6) then 'localtime'
              when m[1]::int in (7, 8) then 'localtimestamp' when m[1]::int < 13 then 'current_user'
              else 'current_schema' end
    from special r, regexp_matches(r.action, '[{]SQLVALUEFUNCTION :op ([0-9]+)', 'g') m
   union
  select root, 'sample', '' from special where action like '%{TABLESAMPLECLAUSE %'
   union
  select root, 'volatile', 'nextval()' from special where action like '%{NEXTVALUEEXPR %'
   union
  select root, 'conversion', '' from special where action like '%{JSONEXPR %' or action like '%{TABLEFUNC %'
   union
  select root, 'system-column', '' from special where action ~ ':varattno -[1-5] '
   union
  select t.root, 'name-type', format_type(t.id, null) from types t
   where t.id in (${NAME_TYPES}) or t.id in (${SEARCH_TYPES}) and not t.is_constant
   union
  select i.root, 'name-type', format_type(i.id, null) from inner_types i where i.id in (${NAME_TYPES}, ${SEARCH_TYPES})
   union
  select facts.root, 'name-type', '' from facts
   where facts.has_user_code
     and (exists (select from pg_type t where t.typtype = 'd' and t.typbasetype in (${NAME_TYPES}))
          or exists (select from pg_attribute a join pg_class c on c.oid = a.attrelid and c.relkind = 'c'
                      where a.atttypid in (${NAME_TYPES}) and c.oid >= ${FIRST_USER_OID}))
   union
  select facts.root, 'type', t.typname::text
    from facts, pg_type t join pg_proc p on p.oid in (t.typoutput, t.typinput)
   where facts.has_user_code and t.typtype = 'b' and p.oid >= ${FIRST_USER_OID} and p.provolatile <> 'i'
   union
  select f.root, 'catalog', c.relname::text from fields f join pg_class c on c.oid = f.id
   where f.kind = 'relation' and f.id < ${FIRST_USER_OID}
   union
  select f.root, 'itself', '' from fields f where f.kind = 'relation' and f.id = f.root and f.ev_class <> f.root)`

/** SQL: lists of what is known of each root. */
const GATHERED = `
relations as materialized (
  select b.root, array_agg(distinct b.id) filter (where b.kind = 'v') as views,
         coalesce(array_agg(distinct b.id) filter (where b.kind not in ('v', 'c', 'i', 'I', 't')), '{}') as base
    from below b
   where b.class_id = 'pg_class'::regclass
   group by b.root),
row_types as materialized (
  select i.root, array_agg(distinct t.typrelid) as rows
    from inner_types i join pg_type t on t.oid = i.id
   where t.typrelid <> 0
   group by i.root),
reasons as materialized (
  select b.root, json_agg(json_build_object('kind', b.kind, 'name', b.name) order by b.kind, b.name) as blockers
    from blockers b
   group by b.root)`

/**
 * SQL: what forbids skipping in the definitions of the views with these OIDs, and what they read, a row a
 * view.
 */
export const definitionBlockersSql = (
  oids: string,
): string => `with recursive${reached(oids)},${BLOCKERS},${GATHERED}
select facts.root as oid, relations.base, coalesce(reasons.blockers, '[]') as blockers
  from facts join relations using (root) left join reasons using (root)`

/** SQL: what is to be known of the definitions of the views with these OIDs, a row for each view. */
export function definitionsSql(oids: string, serverVersion: number): string {
  const virtual =
    serverVersion >= 180_000
      ? `exists (select from pg_attribute a where a.attrelid = any (relations.base) and a.attgenerated = 'v')`
      : 'false'
  const key = definitionKey(
    {views: 'relations.views', base: 'relations.base', rows: `coalesce(row_types.rows, '{}')`},
    {hasUserCode: 'facts.has_user_code', hasSearch: 'facts.has_search'},
  )
  return `with recursive${reached(oids)},${BLOCKERS},${GATHERED}
select facts.root as oid, facts.has_user_code, facts.has_search, ${virtual} as has_virtual_columns,
       relations.views, relations.base, coalesce(row_types.rows, '{}') as rows, ${key} as key,
       coalesce(reasons.blockers, '[]') as blockers
  from facts join relations using (root) left join row_types using (root) left join reasons using (root)`
}
