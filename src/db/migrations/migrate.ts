import {AybError, isAybError} from '../../lib/errors.ts'
import {migrationTimeout} from '../../lib/failures/tables.ts'
import {quoteIdentifier, quoteIfNeeded} from '../../lib/identifier.ts'
import {findKeyHolder} from '../locks/blockers.ts'
import type {Session} from '../session.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {SYSTEM_TABLES, type SystemSettings, type SystemTable, tableNames} from '../system.ts'
import {namingLocks} from '../table-locks.ts'
import {findTrustedTables, type SystemRelation} from '../trust.ts'
import {MIGRATIONS} from './all.ts'
import {inheritedGrants} from './grants.ts'
import type {Migration} from './migration.ts'

/** Not in the 32 bits of the locks of views. */
const MIGRATION_LOCK = '8097879711495936001'
/**
 * Any role can take this lock. A migration takes milliseconds, unless it creates an index on a large table.
 */
const LOCK_PATIENCE_MS = 10_000

/** CREATE … IF NOT EXISTS of two sessions at once fails in the catalogs' own unique indexes. */
const RACE_STATES = [SQLSTATE.UNIQUE_VIOLATION, SQLSTATE.DUPLICATE_TABLE, SQLSTATE.DUPLICATE_OBJECT]
const RACE_ATTEMPTS = 5

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
async function readSystem(
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
      `the tables are at version ${tooNew.version} (${tooNew.name}), and this program knows ${newest}`,
      {hint: 'upgrade ayb', details: {version: tooNew.version, supported: newest}},
    )
  }
  return {relations, applied: new Set(rows.map((row) => row.version))}
}

/** The migrations that are still to be applied: not recorded, or with a table that has gone missing since. */
export function pendingMigrations({relations, applied}: SystemState): Migration[] {
  return MIGRATIONS.filter(
    (migration) =>
      !applied.has(migration.version) || migration.creates.some((table) => !relations.has(table)),
  )
}

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

/** The tables that an upgrade adds beside registrations that are there already. */
const newTables = (migration: Migration, {relations}: SystemState): SystemTable[] =>
  migration.without !== null && relations.has('registrations')
    ? migration.creates.filter((table) => !relations.has(table))
    : []

interface MigrationOptions {
  /** Which of the pending migrations to apply; all without it. */
  only?: (migration: Migration) => boolean
  /** How long to wait for a lock on a table, in milliseconds; 0 for as long as it takes. */
  tableLockTimeoutMs?: number
}

/** The result of applying migrations. */
interface AppliedMigrations {
  state: SystemState
  applied: string[]
  warnings: string[]
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
  if (!(await mayApply(session, settings, state, pending))) return refused('this role may not make')
  try {
    return await applyMigrations(session, settings, {
      only: isOptional,
      tableLockTimeoutMs: OPTIONAL_LOCK_TIMEOUT_MS,
    })
  } catch (error) {
    if (isAybError(error, 'TIMEOUT')) return refused('another session kept this one from making')
    if (isAybError(error, 'PERMISSION_DENIED')) return refused('this role may not make')
    throw error
  }
}

const isOptional = (migration: Migration): boolean => migration.without !== null

async function mayApply(
  session: Session,
  {schemaName}: SystemSettings,
  {relations}: SystemState,
  pending: readonly Migration[],
): Promise<boolean> {
  const statements = pending.flatMap((migration) => migration.statements(tableNames(schemaName)))
  if (statements.some(({alters}) => alters && relations.get(alters)?.isOwn === false)) return false
  const rows = await session.query<{may_create: boolean}>(
    `select has_schema_privilege(n.oid, 'CREATE') as may_create from pg_namespace n where n.nspname = $1`,
    [schemaName],
  )
  return rows[0]?.may_create ?? false
}

function pendingWarning(pending: readonly Migration[], {schemaName}: SystemSettings, why: string): string {
  const tables = pending.flatMap((migration) => migration.creates.map((table) => SYSTEM_TABLES[table]))
  const without = pending.map((migration) => migration.without).join('; ')
  return (
    `${why} ${tables.join(', ')} in schema ${quoteIfNeeded(schemaName)}, so ${without}; ` +
    'to mend that, run `ayb migrate` as the owner of the tables, or give a DBA the output of `ayb migrate --dry-run`'
  )
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
    `${SYSTEM_TABLES[table]} belongs to ${owner}, so an index that makes its use faster was left out; ` +
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
      `the database refused to have ayb's tables made in schema ${schema}: ${error.words}`,
      {
        hint: error.serverHint ?? 'ask its owner about its event triggers, which psql lists with \\dy',
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
