import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../cli/base-command.ts'
import {migrate, planMigration} from '../core/migrate.ts'
import type {Migrated, MigrationPlan} from '../lib/records/migrations.ts'

export default class Migrate extends BaseCommand {
  static override summary = "Create or upgrade ayb's own tables."
  static override description =
    'Commands that write to the tables create them when needed. Run ayb migrate where the role of these commands may not create tables, or give the output of --dry-run to a DBA.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --dry-run',
  ]
  static override flags = {
    'dry-run': Flags.boolean({summary: 'Print the SQL and change nothing.'}),
  }

  async run(): Promise<Migrated | MigrationPlan> {
    const {flags} = await this.parse(Migrate)
    if (flags['dry-run']) {
      const plan = await this.withDatabase(flags, (db) => planMigration(db))
      this.print(
        plan.pending.map(({name, sql}) => `-- ${name}\n${sql}`).join('\n\n') || '-- nothing to apply',
      )
      return plan
    }
    const migrated = await this.withDatabase(flags, (db) => migrate(db))
    const {applied, version} = migrated
    this.print(applied.length > 0 ? `Applied ${applied.join(', ')}` : `Up to date at version ${version}`)
    return migrated
  }
}
