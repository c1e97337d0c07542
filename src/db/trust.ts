import {AybError} from '../lib/errors.ts'
import {qualifiedName, shellWord} from '../lib/identifier.ts'
import type {Session} from './session.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'
import {SYSTEM_TABLES, type SystemSettings, type SystemTable} from './system.ts'

interface RelationRow {
  relname: string
  relkind: string
  owner: string
  has_trusted_owner: boolean
  is_plain: boolean
  is_own: boolean
}

/** A system table that is there and may be used. */
export interface SystemRelation {
  owner: string
  /** Whether the current role may change the table itself, an index on it for example. */
  isOwn: boolean
}

/**
 * Which system tables exist, each one checked: a table that anyone else made or rigged with a trigger, a rule
 * or row security would run their code, or show their rows, in our session.
 * @throws AybError UNTRUSTED_TABLE
 */
export async function findTrustedTables(
  session: Session,
  settings: SystemSettings,
): Promise<Map<SystemTable, SystemRelation>> {
  const names = Object.values(SYSTEM_TABLES)
  const rows = await session.query<RelationRow>(
    `select c.relname, c.relkind, o.rolname as owner,
            o.rolname = current_user or o.rolsuper or c.relowner in (d.datdba, n.nspowner) or o.rolname = $3
              as has_trusted_owner,
            not c.relhasrules and not c.relrowsecurity and not c.relispartition
              and not exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal)
              and not exists (select from pg_inherits i where i.inhparent = c.oid)
              as is_plain,
            pg_has_role(c.relowner, 'USAGE') as is_own
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
       join pg_roles o on o.oid = c.relowner
       join pg_database d on d.datname = current_database()
      where n.nspname = $1
        and c.relname = any ($2)`,
    [settings.schemaName, names, settings.trustedOwner],
  )
  const found = new Map<SystemTable, SystemRelation>()
  for (const [key, name] of Object.entries(SYSTEM_TABLES) as [SystemTable, string][]) {
    const row = rows.find((candidate) => candidate.relname === name)
    if (!row) continue
    checkTrust(row, settings)
    found.set(key, {owner: row.owner, isOwn: row.is_own})
  }
  return found
}

function checkTrust(row: RelationRow, {schemaName}: SystemSettings): void {
  const table = qualifiedName({schemaName, viewName: row.relname})
  const refuse = (why: string, hint: string) => {
    throw new AybError('UNTRUSTED_TABLE', `refusing to use ${table}: ${why}`, {
      hint,
      details: {table, owner: row.owner},
    })
  }
  if (!row.has_trusted_owner) {
    refuse(
      `its owner is ${row.owner}, who is neither you, a superuser, nor the owner of the database or the schema`,
      `drop the table if ${row.owner} should not have made it; if you trust that role: export AYB_TRUSTED_OWNER=${shellWord(row.owner)}`,
    )
  }
  if (row.relkind !== 'r' || !row.is_plain) {
    refuse(
      `it is not an ordinary table without triggers, rules, row security, partitions or child tables (owner: ${row.owner})`,
      `ask ${row.owner} who changed it and why, and have that undone`,
    )
  }
}

/**
 * Says whose the tables are, and what would let the current role use them, where an error is about that; any other
 * error passes as it is.
 */
export async function explainDenial(
  session: Session,
  {schemaName}: SystemSettings,
  error: unknown,
): Promise<unknown> {
  if (!hasSqlstate(error, SQLSTATE.INSUFFICIENT_PRIVILEGE) || !session.isUsable) return error
  const rows = await session.query<{owners: string; statement: string}>(
    `select string_agg(distinct pg_get_userbyid(c.relowner), ', ') as owners,
            format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I;',
                   string_agg(format('%I.%I', n.nspname, c.relname), ', ' order by c.relname), current_user) as statement
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1 and c.relname = any ($2)
     having count(*) > 0`,
    [schemaName, Object.values(SYSTEM_TABLES)],
  )
  if (!rows[0]) return error
  const {owners, statement} = rows[0]
  return new AybError('PERMISSION_DENIED', `${error.serverMessage}: ayb's tables belong to ${owners}`, {
    hint: statement,
    details: {sqlstate: error.sqlstate, owner: owners},
    cause: error,
  })
}
