import {AybError} from '../../lib/errors.ts'
import type {Session} from '../session.ts'
import {type SystemSettings, type SystemTable, tableNames} from '../system.ts'
import {namingLocks} from '../table-locks.ts'
import {findTrustedTables, type SystemRelation} from '../trust.ts'
import {MIGRATIONS} from './all.ts'
import type {Migration} from './migration.ts'

/** The state of the system tables. */
export interface SystemState {
  relations: Map<SystemTable, SystemRelation>
  /** The migrations that are recorded as applied. */
  applied: Set<number>
}

/**
 * Reads the state without changing anything.
 * @throws AybError UNTRUSTED_TABLE, UPGRADE_REQUIRED when a newer program made a breaking change
 */
export const inspectSystem = (
  session: Session,
  settings: SystemSettings,
  lockPatienceMs?: number,
): Promise<SystemState> =>
  namingLocks(
    session,
    settings,
    (lockTimeoutMs) => readSystem(session, settings, lockTimeoutMs),
    lockPatienceMs,
  )

/** The same with a lock timeout, in milliseconds, that lasts to the end of a transaction; 0 for none. */
export async function readSystem(
  session: Session,
  settings: SystemSettings,
  lockTimeoutMs: number,
): Promise<SystemState> {
  const relations = await findTrustedTables(session, settings, lockTimeoutMs)
  if (!relations.has('migrations')) return {relations, applied: new Set()}
  const [, found] = await session.script([
    `set local lock_timeout = ${lockTimeoutMs}`,
    `select version, name, breaking from ${tableNames(settings.schemaName).migrations}`,
  ])
  const rows = (found ?? []) as {version: number; name: string; breaking: boolean}[]
  const newest = MIGRATIONS.at(-1)?.version ?? 0
  const tooNew = rows.find((row) => row.breaking && row.version > newest)
  if (tooNew) {
    throw new AybError(
      'UPGRADE_REQUIRED',
      `the tables are at version ${tooNew.version} (${tooNew.name}), and this ayb knows versions up to ${newest}`,
      {hint: 'upgrade ayb', details: {version: tooNew.version, supported: newest}},
    )
  }
  return {relations, applied: new Set(rows.map((row) => row.version))}
}

/**
 * The migrations that are still to be applied: not recorded, or with a table that has gone missing since,
 * which they create or change.
 */
export function pendingMigrations({relations, applied}: SystemState): Migration[] {
  return MIGRATIONS.filter(
    (migration) =>
      !applied.has(migration.version) || tablesOf(migration).some((table) => !relations.has(table)),
  )
}

/** Each refresh of a set asks, and the statements of all migrations are long texts. */
const knownTables = new Map<Migration, SystemTable[]>()

function tablesOf(migration: Migration): SystemTable[] {
  const {creates, statements} = migration
  const tables = knownTables.get(migration) ?? [
    ...creates,
    ...statements(tableNames('public')).flatMap(({alters, index}) => alters ?? index?.on ?? []),
  ]
  knownTables.set(migration, tables)
  return tables
}

/** The tables that an upgrade adds beside registrations that are there already. */
export const newTables = (migration: Migration, {relations}: SystemState): SystemTable[] =>
  migration.without !== null && relations.has('registrations')
    ? migration.creates.filter((table) => !relations.has(table))
    : []
