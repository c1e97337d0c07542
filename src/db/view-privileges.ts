import type {MissingPrivilege} from '../lib/failures/refreshes.ts'
import type {Session} from './session.ts'

/** A materialized view, and whether its refresh is to be concurrent. */
interface ViewToRead {
  oid: number
  isConcurrent: boolean
}

/** SQL: whether the plain view under alias `c` reads with the rights of whoever reads the view. */
const IS_INVOKER = `coalesce((select o.option_value::boolean from pg_options_to_table(c.reloptions) o
                                where o.option_name = 'security_invoker'), false)`

/**
 * The privileges that the queries of materialized views lack, by the catalogs. REFRESH runs the query as the
 * owner of the view; a plain view in the query reads as its own owner, unless it is a security_invoker view
 * (since 15). Relations, columns and functions come from the rules, as the parser noted them: pg_depend has
 * neither the functions of Postgres itself nor the columns of a whole-row reference. The patterns have no
 * backslash, since standard_conforming_strings of a role may be off. Rules keep OIDs, so USAGE on a schema is
 * not needed. For a concurrent refresh, the temporary table that REFRESH CONCURRENTLY creates as the owner
 * counts, too.
 */
export async function findMissingPrivileges(
  session: Session,
  views: readonly ViewToRead[],
): Promise<(MissingPrivilege & {viewOid: number})[]> {
  if (views.length === 0) return []
  return session.query(
    `with recursive asked as materialized (
       select * from unnest($1::oid[], $2::boolean[]) a(oid, is_concurrent)),
     source as (
       select c.oid as root, c.oid, c.relowner as owner, c.relowner as reader, c.oid as owned
         from asked join pg_class c on c.oid = asked.oid
        union
       select source.root, c.oid, source.owner, case when invoker.is_on then source.owner else c.relowner end,
              case when invoker.is_on then source.root else c.oid end
         from source
         join pg_rewrite w on w.ev_class = source.oid and w.rulename = '_RETURN',
              regexp_matches(w.ev_action::text, ':relid ([0-9]+) (?::inh [a-z]+ )?:relkind v ', 'g') m
         join pg_class c on c.oid = m[1]::oid and c.relkind = 'v',
              lateral (select ${IS_INVOKER} as is_on) invoker),
     rule as materialized (
       select source.root, source.owner, source.reader, source.owned, w.ev_action::text as text
         from source join pg_rewrite w on w.ev_class = source.oid and w.rulename = '_RETURN'),
     read as (
       select distinct rule.root, rule.reader, rule.owned, c.oid, c.relname, c.relnamespace, c.relowner,
              -- Bits begin at the system columns: 8 is the first column, 7 the whole row.
              (select array_agg(b::int - 7) from regexp_split_to_table(trim(m[2]), ' ') b where b <> '') as columns
         from rule,
              regexp_matches(rule.text,
                ':relid ([0-9]+) (?:(?!:relid |:requiredPerms ).)*?:requiredPerms 2 :checkAsUser 0 :selectedCols [(]b([ 0-9]*)[)]', 'g') m
         join pg_class c on c.oid = m[1]::oid),
     unread as (
       select read.*, has_any_column_privilege(read.reader, read.oid, 'SELECT') as has_some,
              (select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
                 from pg_attribute a
                where a.attrelid = read.oid and not a.attisdropped
                  and (a.attnum = any (read.columns) or a.attnum > 0 and 0 = any (read.columns))
                  and not has_column_privilege(read.reader, read.oid, a.attnum, 'SELECT')) as missing
         from read),
     called as (
       select distinct rule.root, rule.owner, p.oid, p.proowner
         from rule, regexp_matches(rule.text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+) ', 'g') m
         join pg_proc p on p.oid = m[1]::oid
        where not has_function_privilege(rule.owner, p.oid, 'EXECUTE')),
     found as (
       select u.root, 1 as rank, u.reader as role, u.owned, format('%I.%I', n.nspname, u.relname) as object, 'read' as verb,
              u.relowner as grantor,
              format('GRANT SELECT%s ON %I.%I TO %I;', case when u.has_some then format(' (%s)', u.missing) end,
                     n.nspname, u.relname, pg_get_userbyid(u.reader)) as statement
         from unread u join pg_namespace n on n.oid = u.relnamespace
        where u.missing is not null or not u.has_some
       union all
       select called.root, 2, called.owner, called.root, called.oid::regprocedure::text, 'execute', called.proowner,
              format('GRANT EXECUTE ON FUNCTION %s TO %I;', called.oid::regprocedure, pg_get_userbyid(called.owner))
         from called
       union all
       select c.oid, 3, c.relowner, c.oid, quote_ident(d.datname), 'make the temporary table of a concurrent refresh in database', d.datdba,
              format('GRANT TEMPORARY ON DATABASE %I TO %I;', d.datname, pg_get_userbyid(c.relowner))
         from asked join pg_class c on c.oid = asked.oid join pg_database d on d.datname = current_database()
        where asked.is_concurrent and not has_database_privilege(c.relowner, d.oid, 'TEMPORARY'))
     select f.root as "viewOid", pg_get_userbyid(f.role) as role, format('%I.%I', n.nspname, c.relname) as view,
            f.verb || ' ' || f.object as action, pg_get_userbyid(f.grantor) as grantor, f.statement
       from found f
       join pg_class c on c.oid = f.owned
       join pg_namespace n on n.oid = c.relnamespace
      order by f.root, f.rank, f.statement`,
    parameters(views),
  )
}

/**
 * The views for which findMissingPrivileges may find something, by pg_depend, which takes milliseconds where
 * reading the rules of thousands of views takes seconds. Misses a function of Postgres itself whose EXECUTE
 * was revoked.
 */
export async function doubtfulViews<View extends ViewToRead>(
  session: Session,
  views: readonly View[],
): Promise<View[]> {
  const rows = await session.query<{oid: number}>(
    `with recursive source as (
       select c.oid as root, c.oid, c.relowner as owner, c.relowner as reader
         from unnest($1::oid[]) asked(oid) join pg_class c on c.oid = asked.oid
        union
       select source.root, c.oid, source.owner, case when invoker.is_on then source.owner else c.relowner end
         from source
         join pg_rewrite w on w.ev_class = source.oid
         join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
         join pg_class c on c.oid = d.refobjid and c.relkind = 'v' and c.oid <> source.oid,
              lateral (select ${IS_INVOKER} as is_on) invoker),
     used as (
       select distinct source.root, source.owner, source.reader, d.refclassid, d.refobjid
         from source
         join pg_rewrite w on w.ev_class = source.oid
         join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
                         and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)
                         and d.refobjid <> source.oid)
     select distinct used.root as oid from used
       left join pg_operator o on used.refclassid = 'pg_operator'::regclass and o.oid = used.refobjid
      where case used.refclassid
                 when 'pg_proc'::regclass then not has_function_privilege(used.owner, used.refobjid, 'EXECUTE')
                 when 'pg_operator'::regclass then not has_function_privilege(used.owner, o.oprcode, 'EXECUTE')
                 else not has_table_privilege(used.reader, used.refobjid, 'SELECT') end
      union
     select c.oid from unnest($1::oid[], $2::boolean[]) asked(oid, is_concurrent)
       join pg_class c on c.oid = asked.oid
      where asked.is_concurrent and not has_database_privilege(c.relowner, current_database(), 'TEMPORARY')`,
    parameters(views),
  )
  const doubtful = new Set(rows.map(({oid}) => oid))
  return views.filter(({oid}) => doubtful.has(oid))
}

const parameters = (views: readonly ViewToRead[]) => [
  views.map(({oid}) => oid),
  views.map(({isConcurrent}) => String(isConcurrent)),
]
