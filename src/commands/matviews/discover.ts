import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {outputFlag} from '../../cli/flags.ts'
import {commandLineView} from '../../cli/remedies.ts'
import {discover} from '../../core/matviews.ts'
import type {View} from '../../lib/records/views.ts'

export default class MatviewsDiscover extends BaseCommand {
  static override summary = 'Find the materialized views of the database, registered or not.'
  static override description =
    'Shows for each view whether it can be refreshed concurrently and, if not, what is missing; --hints shows how to add that. Does not wait for a view that is being refreshed: the size of that view is left out.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --hints',
    '<%= config.bin %> <%= command.id %> --json',
  ]
  static override flags = {
    output: outputFlag(),
    hints: Flags.boolean({
      summary:
        'On a terminal, show below the table what each view needs before it can be refreshed concurrently.',
    }),
  }

  async run(): Promise<View[]> {
    const {flags} = await this.parse(MatviewsDiscover)
    const views = (await this.withDatabase(flags, (db) => discover(db))).map(commandLineView)
    await this.show(async (context) => {
      const {renderViews} = await import('../../render/views.ts')
      return renderViews(views, context, {hasHints: flags.hints})
    }, flags)
    return views
  }
}
