import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {outputFlag, viewArg} from '../../cli/flags.ts'
import {history} from '../../core/matviews.ts'
import type {Run} from '../../lib/records.ts'

export default class MatviewsHistory extends BaseCommand {
  static override summary = 'Show the last refreshes of a view, newest first.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard',
    '<%= config.bin %> <%= command.id %> public.leaderboard --limit 100 --json',
  ]
  static override args = {view: viewArg({required: true})}
  static override flags = {
    output: outputFlag(),
    limit: Flags.integer({
      summary: 'The largest number of refreshes to show.',
      default: 20,
      min: 1,
      max: 10_000,
      helpValue: '<n>',
    }),
  }

  async run(): Promise<Run[]> {
    const {args, flags} = await this.parse(MatviewsHistory)
    const runs = await this.withDatabase(flags, (db) => history(db, args.view, flags.limit))
    await this.show(async (context) => {
      const {renderRuns} = await import('../../render/runs.ts')
      return renderRuns(runs, context)
    }, flags)
    return runs
  }
}
