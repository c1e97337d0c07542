import type {Database} from '../db/database.ts'
import type {Migrated, MigrationPlan} from '../lib/records/migrations.ts'
import type {Unworded} from '../lib/unworded.ts'

/**
 * Creates or upgrades the tables.
 * @throws AybError READ_ONLY, PERMISSION_DENIED, UNTRUSTED_TABLE
 */
export async function migrate(db: Database): Promise<Unworded<Migrated>> {
  const applied = await db.migrate()
  return {applied, version: db.version, warnings: db.takeWarnings()}
}

/** What migrate would run, without changing anything. */
export async function planMigration(db: Database): Promise<Unworded<MigrationPlan>> {
  return {pending: await db.pendingScripts(), version: db.version, warnings: db.takeWarnings()}
}
