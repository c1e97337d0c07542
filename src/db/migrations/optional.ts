import {isAybError} from '../../lib/errors.ts'
import {quoteIfNeeded} from '../../lib/identifier.ts'
import {remediable, type Warning} from '../../lib/unworded.ts'
import type {Session} from '../session.ts'
import {SYSTEM_TABLES, type SystemSettings, tableNames} from '../system.ts'
import {type AppliedMigrations, applyMigrations} from './migrate.ts'
import type {Migration} from './migration.ts'
import {pendingMigrations, type SystemState} from './state.ts'

/** Long enough for a statement of ayb to end, and short enough for sessions that wait behind the change. */
const OPTIONAL_LOCK_TIMEOUT_MS = 2000

/**
 * Applies the pending migrations that are optional, if the role may and no lock is in the way. Otherwise
 * everything else works on, and the warnings say what is missing.
 * @throws AybError UNTRUSTED_TABLE, CONNECTION_LOST
 */
export async function applyOptionalMigrations(
  session: Session,
  settings: SystemSettings,
  state: SystemState,
): Promise<AppliedMigrations> {
  const pending = pendingMigrations(state).filter(isOptional)
  const refused = (why: string): AppliedMigrations => ({
    state,
    applied: [],
    warnings: [pendingWarning(pending, settings, why)],
  })
  // Checks the rights first: a failing statement would fill the log of the server with errors.
  if (!(await mayApply(session, settings, state, pending))) return refused('this role may not create')
  try {
    return await applyMigrations(session, settings, {
      only: isOptional,
      tableLockTimeoutMs: OPTIONAL_LOCK_TIMEOUT_MS,
    })
  } catch (error) {
    if (isAybError(error, 'TIMEOUT')) return refused('another session kept ayb from creating')
    if (isAybError(error, 'PERMISSION_DENIED')) return refused('this role may not create')
    throw error
  }
}

const isOptional = (migration: Migration): boolean => migration.without !== null

/** Whether the role has the rights that the pending migrations need. */
export async function mayApply(
  session: Session,
  {schemaName}: SystemSettings,
  {relations}: SystemState,
  pending: readonly Migration[],
): Promise<boolean> {
  const statements = pending.flatMap((migration) => migration.statements(tableNames(schemaName)))
  if (statements.some(({alters}) => alters && relations.get(alters)?.isOwn === false)) return false
  const rows = await session.query<{may_create: boolean}>(
    `select coalesce((select has_schema_privilege(n.oid, 'CREATE') from pg_namespace n where n.nspname = $1),
                     has_database_privilege(current_database(), 'CREATE')) as may_create`,
    [schemaName],
  )
  return rows[0]?.may_create ?? false
}

function pendingWarning(pending: readonly Migration[], {schemaName}: SystemSettings, why: string): Warning {
  const tables = pending.flatMap(({creates, statements}) => {
    const changed = statements(tableNames(schemaName)).flatMap(({alters}) => alters ?? [])
    return (creates.length > 0 ? creates : changed).map((table) => SYSTEM_TABLES[table])
  })
  const without = pending.map((migration) => migration.without).join('; ')
  const message = `${why} ${[...new Set(tables)].join(', ')} in schema ${quoteIfNeeded(schemaName)}, so ${without}`
  return remediable(message, null, {kind: 'complete-tables'})
}
