import type {Session} from '../session.ts'
import type {SystemSettings} from '../system.ts'
import {withLockTimeout} from '../table-locks.ts'
import {FIRST_USER_OID, membership} from './criteria.ts'

/** A further problem with a table. */
export interface Flaw {
  kind:
    | 'trigger'
    | 'rule'
    | 'row security'
    | 'grant'
    | 'reference'
    | 'foreign trigger'
    | 'column'
    | 'index'
    | 'operator'
  /** The name of the object at fault; for grants and foreign keys the name of the table, with its schema. */
  name: string
  /** The owner, or the role with the privilege; null if that does not matter. */
  role: string | null
  /** The SQL that fixes the problem; null if unknown. */
  remedy: string | null
}

/** An expression that the server evaluates when a row of the table is written. */
export interface TableExpression {
  kind: 'default' | 'generated' | 'check' | 'index'
  /** Of the column, the constraint or the index. */
  name: string
  text: string
  remedy: string | null
}

/** A system table as the catalogues describe it. */
export interface TableLook {
  relname: string
  relkind: string
  owner: string
  has_trusted_owner: boolean
  schema_owner: string
  has_trusted_schema: boolean
  database_owner: string
  /** Neither partition nor parent of other tables. */
  is_single: boolean
  is_own: boolean
  flaws: Flaw[] | null
  expressions: TableExpression[] | null
}

/**
 * Looks at all that can run code of somebody else when a system table is read or written.
 *
 * A role is trusted when it is or can become one of the friends: superusers, the current user, the owner of
 * the database, and AYB_TRUSTED_OWNER. A role that is not trusted must own none of these objects, hold
 * neither TRIGGER nor REFERENCES, and have no code in them. `reached` are the tables that a foreign key leads
 * to, directly or through others: their triggers run as the session that deletes from or updates a system
 * table (up to 17; from 18 on as their owner). They are looked up by the triggers that a foreign key leaves
 * on the referenced table, since pg_constraint has no index for that.
 */
export async function lookClosely(
  session: Session,
  {schemaName, trustedOwner}: SystemSettings,
  names: readonly string[],
  lockTimeoutMs: number,
): Promise<TableLook[]> {
  const values = [schemaName, names, trustedOwner, String(lockTimeoutMs)]
  return session.query<TableLook>(lookSql(session.serverVersion), values)
}

function lookSql(serverVersion: number): string {
  const isTrusted = (role: string) =>
    `exists (select from friend f where pg_has_role(${role}, f.oid, ${membership(serverVersion)}))`
  return `
with recursive friend as materialized (
  select r.oid
    from pg_roles r
    join pg_database d on d.datname = current_database()
   where r.rolsuper or r.oid = d.datdba or r.rolname in (current_user, 'pg_database_owner', $3)),
t as materialized (
  select c.oid, c.relname, c.relkind, c.relowner, c.relrowsecurity, c.relhasrules, c.relispartition, n.nspowner,
         format('%I.%I', n.nspname, c.relname) as name
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
   where n.nspname = $1 and c.relname = any ($2) and ${withLockTimeout(4)}),
reached (oid, root) as (
  select t.oid, t.oid from t
   union
  select x.oid, r.root
    from reached r
   cross join lateral (
     select g.tgconstrrelid
       from pg_trigger g
       join pg_constraint k on k.oid = g.tgconstraint
      where g.tgrelid = r.oid and g.tgisinternal and k.contype = 'f' and k.confrelid = r.oid
      union all
     select i.inhrelid from pg_inherits i where i.inhparent = r.oid) x (oid)
   where x.oid not in (select t.oid from t)),
relation as materialized (
  select r.root, c.oid, c.oid <> r.root as is_beyond, format('%I.%I', n.nspname, c.relname) as name, c.relowner, c.relacl
    from reached r
    join pg_class c on c.oid = r.oid
    join pg_namespace n on n.oid = c.relnamespace),
held as (
  select r.root, r.name, r.relowner, a.grantor, a.grantee
    from relation r
   cross join lateral aclexplode(r.relacl) a
   where a.privilege_type in ('TRIGGER', 'REFERENCES')
   union
  select r.root, r.name, r.relowner, a.grantor, a.grantee
    from relation r
    join pg_attribute c on c.attrelid = r.oid and c.attacl is not null and not c.attisdropped
   cross join lateral aclexplode(c.attacl) a
   where a.privilege_type = 'REFERENCES'),
granted as materialized (
  select h.root, h.name, h.relowner, h.grantor, case when h.grantee = 0 then 'PUBLIC' else quote_ident(g.rolname) end as grantee,
         ${isTrusted('h.grantor')} as is_root
    from held h
    left join pg_roles g on g.oid = h.grantee
   where h.grantee = 0 or not ${isTrusted('h.grantee')}),
-- A grant that an untrusted role passed on falls with its own. One that a trusted role passed on is that role's to revoke.
revoked as (
  select string_agg(case when x.grantor = x.relowner then x.sql else format('SET ROLE %I; %s RESET ROLE;', pg_get_userbyid(x.grantor), x.sql) end, ' ') as sql
    from (select g.relowner, g.grantor,
                 format('REVOKE TRIGGER, REFERENCES ON TABLE %s FROM %s CASCADE;', string_agg(distinct g.name, ', '),
                        string_agg(distinct g.grantee, ', ')) as sql
            from granted g
           where g.is_root and g.grantee is not null
           group by g.relowner, g.grantor) x),
flaw (root, kind, name, role, remedy) as (
  select g.tgrelid, 'trigger', g.tgname::text, null, format('DROP TRIGGER %I ON %s;', g.tgname, t.name)
    from t
    join pg_trigger g on g.tgrelid = t.oid
   where not g.tgisinternal
   union all
  select t.oid, 'rule', r.rulename::text, null, format('DROP RULE %I ON %s;', r.rulename, t.name)
    from t
    join pg_rewrite r on r.ev_class = t.oid
   where t.relhasrules and t.relkind in ('r', 'p')
   union all
  select t.oid, 'row security', t.relname::text, null, format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY;', t.name)
    from t
   where t.relrowsecurity
   union all
  select g.root, 'grant', g.name, coalesce(g.grantee, 'a role that is gone'), (select r.sql from revoked r)
    from granted g
   union all
  select r.root, 'reference', r.name, pg_get_userbyid(r.relowner)::text,
         (select string_agg(format('ALTER TABLE %s DROP CONSTRAINT %I;', r.name, k.conname), ' ')
            from pg_constraint k
           where k.conrelid = r.oid and k.contype = 'f' and k.conparentid = 0
             and k.confrelid <> r.oid and k.confrelid in (select o.oid from reached o))
    from relation r
   where r.is_beyond and not ${isTrusted('r.relowner')}
   union all
  select r.root, 'foreign trigger', r.name, pg_get_userbyid(p.proowner)::text, format('DROP TRIGGER %I ON %s;', g.tgname, r.name)
    from relation r
    join pg_trigger g on g.tgrelid = r.oid and not g.tgisinternal
    join pg_proc p on p.oid = g.tgfoid
   where r.is_beyond and not ${isTrusted('p.proowner')}
   union all
  select t.oid, 'column', c.attname::text, format_type(c.atttypid, null), null
    from t
    join pg_attribute c on c.attrelid = t.oid and c.attnum > 0 and not c.attisdropped
   where c.atttypid >= ${FIRST_USER_OID} or c.attcollation >= ${FIRST_USER_OID}
   union all
  select t.oid, 'index', x.relname::text, null,
         coalesce((select format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE;', t.name, k.conname)
                     from pg_constraint k where k.conindid = x.oid and k.conrelid = t.oid and k.contype in ('p', 'u', 'x')),
                  format('DROP INDEX %I.%I;', n.nspname, x.relname))
    from t
    join pg_index i on i.indrelid = t.oid
    join pg_class x on x.oid = i.indexrelid
    join pg_namespace n on n.oid = x.relnamespace
   where ${FIRST_USER_OID} <= any (i.indclass::oid[] || i.indcollation::oid[])
   union all
  select t.oid, 'operator', k.conname::text, null, format('ALTER TABLE %s DROP CONSTRAINT %I;', t.name, k.conname)
    from t
    join pg_constraint k on k.conrelid = t.oid
   where ${FIRST_USER_OID} <= any (k.conexclop || k.conpfeqop || k.conppeqop || k.conffeqop)),
expression (root, kind, name, text, remedy) as (
  select t.oid, case when c.attgenerated = '' then 'default' else 'generated' end, c.attname::text, pg_get_expr(d.adbin, t.oid),
         case c.attgenerated when '' then null when 's' then format('ALTER TABLE %s ALTER COLUMN %I DROP EXPRESSION;', t.name, c.attname)
                             else format('ALTER TABLE %s DROP COLUMN %I;', t.name, c.attname) end
    from t
    join pg_attrdef d on d.adrelid = t.oid
    join pg_attribute c on c.attrelid = t.oid and c.attnum = d.adnum
   union all
  select t.oid, 'check', k.conname::text, pg_get_expr(k.conbin, t.oid), format('ALTER TABLE %s DROP CONSTRAINT %I;', t.name, k.conname)
    from t
    join pg_constraint k on k.conrelid = t.oid and k.contype = 'c'
   union all
  select t.oid, 'index', x.relname::text, e.text, format('DROP INDEX %I.%I;', n.nspname, x.relname)
    from t
    join pg_index i on i.indrelid = t.oid
    join pg_class x on x.oid = i.indexrelid
    join pg_namespace n on n.oid = x.relnamespace
   cross join lateral (values (pg_get_expr(i.indexprs, t.oid)), (pg_get_expr(i.indpred, t.oid))) e (text)
   where e.text is not null)
select t.relname, t.relkind, pg_get_userbyid(t.relowner) as owner, ${isTrusted('t.relowner')} as has_trusted_owner,
       pg_get_userbyid(t.nspowner) as schema_owner, ${isTrusted('t.nspowner')} as has_trusted_schema,
       pg_get_userbyid(d.datdba) as database_owner,
       not t.relispartition and not exists (select from pg_inherits i where i.inhparent = t.oid) as is_single,
       pg_has_role(t.relowner, 'USAGE') as is_own,
       (select json_agg(f) from flaw f where f.root = t.oid) as flaws,
       (select json_agg(e) from expression e where e.root = t.oid) as expressions
  from t
  join pg_database d on d.datname = current_database()`
}
