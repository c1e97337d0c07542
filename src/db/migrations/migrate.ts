import {AybError} from '../../lib/errors.ts'
import {migrationTimeout} from '../../lib/failures/tables.ts'
import {quoteIdentifier, quoteIfNeeded} from '../../lib/identifier.ts'
import type {Warning} from '../../lib/unworded.ts'
import {findKeyHolder} from '../locks/blockers.ts'
import type {Session} from '../session.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {SYSTEM_TABLES, type SystemSettings, type SystemTable, tableNames} from '../system.ts'
import {inheritedGrants} from './grants.ts'
import type {Migration} from './migration.ts'
import {newTables, pendingMigrations, readSystem, type SystemState} from './state.ts'

/** Outside the 32-bit range of the locks of views. */
const MIGRATION_LOCK = '8097879711495936001'
/**
 * Any role can take this lock. A migration takes milliseconds, unless it creates an index on a large table.
 */
const LOCK_PATIENCE_MS = 10_000

/** CREATE … IF NOT EXISTS of two sessions at once fails in the catalogs' own unique indexes. */
const RACE_STATES = [SQLSTATE.UNIQUE_VIOLATION, SQLSTATE.DUPLICATE_TABLE, SQLSTATE.DUPLICATE_OBJECT]
const RACE_ATTEMPTS = 5

/** The SQL of the pending migrations, for somebody else to run. */
export async function migrationScripts(
  session: Session,
  state: SystemState,
  settings: SystemSettings,
): Promise<{name: string; sql: string}[]> {
  const tables = tableNames(settings.schemaName)
  const scripts: {name: string; sql: string}[] = []
  for (const [position, migration] of pendingMigrations(state).entries()) {
    const statements = [
      ...(position === 0 && settings.schemaName !== 'public' ? [createSchema(settings)] : []),
      ...migration.statements(tables).map((statement) => statement.sql),
      ...(await inheritedGrants(session, settings, newTables(migration, state))),
      recordMigration(migration, tables.migrations),
    ]
    scripts.push({name: migration.name, sql: `begin;\n${statements.join(';\n')};\ncommit;`})
  }
  return scripts
}

interface MigrationOptions {
  /** Which of the pending migrations to apply; all without it. */
  only?: (migration: Migration) => boolean
  /** How long to wait for a lock on a table, in milliseconds; 0 for as long as it takes. */
  tableLockTimeoutMs?: number
}

/** The result of applying migrations. */
export interface AppliedMigrations {
  state: SystemState
  applied: string[]
  warnings: Warning[]
}

/**
 * Applies the pending migrations in one transaction under a lock, so that many first commands at once all
 * succeed. Checks again inside: a table that another role created meanwhile is refused and never written.
 * @throws AybError PERMISSION_DENIED, UNTRUSTED_TABLE, TIMEOUT
 */
export async function applyMigrations(
  session: Session,
  settings: SystemSettings,
  {only = () => true, tableLockTimeoutMs = 0}: MigrationOptions = {},
): Promise<AppliedMigrations> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await session.transaction(() => applyPending(session, settings, {only, tableLockTimeoutMs}))
    } catch (error) {
      if (attempt < RACE_ATTEMPTS && hasSqlstate(error, ...RACE_STATES)) continue
      // Without a timeout for locks on tables, nothing but the advisory lock has one.
      if (hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) {
        throw migrationTimeout(LOCK_PATIENCE_MS, await findKeyHolder(session, MIGRATION_LOCK))
      }
      throw explainMigrationError(error, settings)
    }
  }
}

async function applyPending(
  session: Session,
  settings: SystemSettings,
  {only, tableLockTimeoutMs}: Required<MigrationOptions>,
): Promise<AppliedMigrations> {
  await session.script([
    `set local lock_timeout = ${Math.min(LOCK_PATIENCE_MS, tableLockTimeoutMs || LOCK_PATIENCE_MS)}`,
    `select pg_advisory_xact_lock(${MIGRATION_LOCK})`,
    `set local lock_timeout = ${tableLockTimeoutMs}`,
  ])
  const tables = tableNames(settings.schemaName)
  const before = await readSystem(session, settings, tableLockTimeoutMs)
  const pending = pendingMigrations(before).filter(only)
  const warnings: string[] = []
  let state = before
  if (pending.length > 0 && !(await hasSchema(session, settings))) await session.query(createSchema(settings))
  for (const migration of pending) {
    for (const {sql, index} of migration.statements(tables)) {
      const relation = index && before.relations.get(index.on)
      if (!index || !relation || relation.isOwn) await session.query(sql)
      else if (!(await hasIndex(session, settings, index))) {
        warnings.push(foreignIndexWarning(index.on, relation.owner, sql))
      }
    }
    await revokeDefaults(
      session,
      settings,
      migration.creates.filter((table) => !before.relations.has(table)),
    )
    for (const grant of await inheritedGrants(session, settings, newTables(migration, before))) {
      await session.query(grant)
    }
    // IF NOT EXISTS skips a table that another role created since the first check, so check again before
    // using it.
    state = await readSystem(session, settings, tableLockTimeoutMs)
  }
  for (const migration of pending) await session.query(recordMigration(migration, tables.migrations))
  for (const {version} of pending) state.applied.add(version)
  return {state, applied: pending.map((migration) => migration.name), warnings}
}

/**
 * ALTER DEFAULT PRIVILEGES … GRANT ALL grants TRIGGER and REFERENCES on every new table, and ayb would refuse
 * its own new tables. Nobody uses these privileges yet on tables that this transaction created.
 */
async function revokeDefaults(
  session: Session,
  {schemaName}: SystemSettings,
  tables: readonly SystemTable[],
): Promise<void> {
  const rows = await session.query<{sql: string}>(
    `select format('revoke trigger, references on table %I.%I from %s', n.nspname, c.relname,
                   string_agg(distinct case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end, ', ')) as sql
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
      cross join lateral aclexplode(c.relacl) a
      where n.nspname = $1 and c.relname = any ($2) and pg_get_userbyid(c.relowner) = current_user
        and a.privilege_type in ('TRIGGER', 'REFERENCES') and a.grantee <> c.relowner
      group by n.nspname, c.relname`,
    [schemaName, tables.map((table) => SYSTEM_TABLES[table])],
  )
  for (const {sql} of rows) await session.query(sql)
}

async function hasSchema(session: Session, {schemaName}: SystemSettings): Promise<boolean> {
  const rows = await session.query('select from pg_namespace where nspname = $1', [schemaName])
  return rows.length > 0
}

async function hasIndex(
  session: Session,
  {schemaName}: SystemSettings,
  index: {name: string; on: SystemTable},
): Promise<boolean> {
  const rows = await session.query(
    'select from pg_indexes where schemaname = $1 and tablename = $2 and indexname = $3',
    [schemaName, SYSTEM_TABLES[index.on], index.name],
  )
  return rows.length > 0
}

const createSchema = ({schemaName}: SystemSettings): string =>
  `create schema if not exists ${quoteIdentifier(schemaName)}`

const recordMigration = ({version, name, isBreaking}: Migration, table: string): string =>
  `insert into ${table} (version, name, breaking)
values (${version}, '${name}', ${isBreaking})
    on conflict (version) do nothing`

function foreignIndexWarning(table: SystemTable, owner: string, sql: string): string {
  return (
    `${SYSTEM_TABLES[table]} belongs to ${owner}, so ayb did not create an index that makes it faster; ` +
    `have ${owner} run: ${sql.replaceAll(/\s+/g, ' ')}`
  )
}

function explainMigrationError(error: unknown, {schemaName}: SystemSettings): unknown {
  if (!hasSqlstate(error)) return error
  const schema = quoteIfNeeded(schemaName)
  // The statements of a migration run no function, so that an error with a context comes from an event
  // trigger's.
  if (error.code === 'DATABASE_REFUSED' || (error.code === 'INTERNAL' && error.hasContext)) {
    return new AybError(
      'DATABASE_REFUSED',
      `the database refused to create ayb's tables in schema ${schema}: ${error.words}`,
      {
        hint:
          error.serverHint ??
          'ask the owner of the database about event triggers, which psql lists with \\dy',
        details: error.details,
        cause: error,
      },
    )
  }
  if (error.sqlstate !== SQLSTATE.INSUFFICIENT_PRIVILEGE) return error
  return new AybError(
    'PERMISSION_DENIED',
    `this role may not create ayb's tables in schema ${schema}: ${error.message}`,
    {
      ...(error.serverHint ? {hint: error.serverHint} : {remedy: {kind: 'create-tables'}}),
      details: {sqlstate: error.sqlstate},
      cause: error,
    },
  )
}
