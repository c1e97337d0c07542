import {BaseCommand} from '../../cli/base-command.ts'
import {discover} from '../../core/matviews.ts'
import type {View} from '../../lib/records.ts'

export default class MatviewsDiscover extends BaseCommand {
  static override summary = 'Find the materialized views of the database, registered or not.'
  static override description =
    'Tells for each one whether it can be refreshed concurrently, and if not, what it lacks. Never waits for a view that is being refreshed: its size is left out.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ]

  async run(): Promise<View[]> {
    const {flags} = await this.parse(MatviewsDiscover)
    const views = await this.withDatabase(flags, (db) => discover(db))
    await this.show(async (context) => {
      const {renderViews} = await import('../../render/views.ts')
      return renderViews(views, context)
    })
    return views
  }
}
