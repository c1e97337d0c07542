import {AybError} from '../lib/errors.ts'
import type {Session} from './session.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'
import {SYSTEM_TABLES, type SystemSettings, type SystemTable} from './system.ts'
import type {TableLook} from './trust/close-look.ts'
import {glanceAtTables} from './trust/glance.ts'
import {isPlainExpression} from './trust/plain-expression.ts'

/** A system table that exists and can be trusted. */
export interface SystemRelation {
  owner: string
  /** Whether the current role may change the table itself, an index on it for example. */
  isOwn: boolean
  /** Whether the current role may read the rows. */
  mayRead: boolean
  /** Whether the current role may read and change the rows. */
  mayWrite: boolean
}

/**
 * The system tables that exist, each checked. A table that another role created or can manipulate would run
 * code of that role in our session, or show its rows. Waits that many milliseconds for whoever locks one of
 * them, and has no end with 0.
 * @throws AybError UNTRUSTED_TABLE
 */
export async function findTrustedTables(
  session: Session,
  settings: SystemSettings,
  lockTimeoutMs: number,
): Promise<Map<SystemTable, SystemRelation>> {
  const names = Object.values(SYSTEM_TABLES)
  const glances = await glanceAtTables(session, settings, names, lockTimeoutMs)
  // Tables share most of their expressions, so each expression is checked once.
  const expressions = new Set(glances.flatMap((glance) => glance.expressions))
  const arePlain = [...expressions].every((each) => each === null || isPlainExpression(each))
  if (!arePlain || glances.some(({is_ordinary}) => !is_ordinary)) {
    // Nearly all tables are ordinary, so a start does not read the files of the close look.
    const {lookClosely} = await import('./trust/close-look.ts')
    await refuseUntrusted(await lookClosely(session, settings, names, lockTimeoutMs), settings)
  }
  const found = new Map<SystemTable, SystemRelation>()
  for (const [key, name] of Object.entries(SYSTEM_TABLES) as [SystemTable, string][]) {
    const glance = glances.find((candidate) => candidate.relname === name)
    if (!glance) continue
    const {owner, is_own: isOwn, may_read: mayRead, may_write} = glance
    found.set(key, {owner, isOwn, mayRead, mayWrite: mayRead && may_write})
  }
  return found
}

async function refuseUntrusted(looks: readonly TableLook[], settings: SystemSettings): Promise<void> {
  const {distrustOf, untrustedTable} = await import('./trust/untrusted-table.ts')
  for (const look of looks) {
    const distrust = distrustOf(look, settings)
    if (distrust) throw untrustedTable(look, settings, distrust)
  }
}

/**
 * Says whose the tables are, and what would let the current role use them, where the role lacks a privilege
 * on one of them; any other error passes as it is.
 */
export async function explainDenial(
  session: Session,
  {schemaName}: SystemSettings,
  error: unknown,
): Promise<unknown> {
  if (!hasSqlstate(error, SQLSTATE.INSUFFICIENT_PRIVILEGE) || !session.isUsable) return error
  const rows = await session.query<{owners: string; statement: string}>(
    `select string_agg(distinct pg_get_userbyid(t.relowner), ', ') as owners,
            concat_ws(' ',
              format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I;',
                     string_agg(t.name, ', ' order by t.name) filter (where not t.is_read_only), current_user),
              format('GRANT SELECT ON %s TO %I;',
                     string_agg(t.name, ', ' order by t.name) filter (where t.is_read_only), current_user)) as statement
       from (select c.oid, c.relowner, format('%I.%I', n.nspname, c.relname) as name,
                    c.relname = $3 as is_read_only
               from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = $1 and c.relname = any ($2)) t
     having bool_or(not has_table_privilege(t.oid, 'SELECT')
                    or not t.is_read_only and not (has_table_privilege(t.oid, 'INSERT')
                                                   and has_table_privilege(t.oid, 'UPDATE')
                                                   and has_table_privilege(t.oid, 'DELETE')))`,
    [schemaName, Object.values(SYSTEM_TABLES), SYSTEM_TABLES.migrations],
  )
  if (!rows[0]) return error
  const {owners, statement} = rows[0]
  return new AybError('PERMISSION_DENIED', `${error.serverMessage}: ayb's tables belong to ${owners}`, {
    hint: statement,
    details: {sqlstate: error.sqlstate, owner: owners},
    cause: error,
  })
}
