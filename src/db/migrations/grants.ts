import {quoteIdentifier} from '../../lib/identifier.ts'
import type {Session} from '../session.ts'
import {SYSTEM_TABLES, type SystemSettings, type SystemTable, tableNames} from '../system.ts'

interface GrantRow {
  /** Null for PUBLIC. */
  grantee: string | null
  privileges: string
  is_grantable: boolean
}

/**
 * The statements that give every role with rights on the registrations the same rights on a new table.
 * Without them, a role that works today would be refused as soon as another role upgrades the tables. They
 * include the owner of the registrations, since a superuser may run the upgrade. Empty if there are no
 * registrations yet.
 */
export async function inheritedGrants(
  session: Session,
  {schemaName}: SystemSettings,
  created: readonly SystemTable[],
): Promise<string[]> {
  const rows = await session.query<GrantRow>(
    // Not pg_roles, which some databases close to their users.
    `select case a.grantee when 0 then null else pg_get_userbyid(a.grantee) end as grantee, lower(string_agg(a.privilege_type, ', ' order by a.privilege_type desc)) as privileges,
            a.is_grantable
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
      cross join lateral (
        select x.grantee, x.privilege_type, x.is_grantable and x.grantee <> c.relowner as is_grantable
          from aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) x) a
      where n.nspname = $1 and c.relname = $2 and c.relkind = 'r'
        and a.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        and (a.grantee = 0 or to_regrole(quote_ident(pg_get_userbyid(a.grantee))) = a.grantee)
      group by a.grantee, a.is_grantable
      order by 1, a.is_grantable`,
    [schemaName, SYSTEM_TABLES.registrations],
  )
  const tables = tableNames(schemaName)
  return created.flatMap((table) => rows.map((row) => grantStatement(tables[table], row)))
}

function grantStatement(table: string, {grantee, privileges, is_grantable}: GrantRow): string {
  const role = grantee === null ? 'public' : quoteIdentifier(grantee)
  return `grant ${privileges} on ${table} to ${role}${is_grantable ? ' with grant option' : ''}`
}
