import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {outputFlag, sortFlag, viewArg, watchFlag} from '../../cli/flags.ts'
import {history} from '../../core/matviews.ts'
import type {Run, RunStatus} from '../../lib/records/runs.ts'

const STATES: readonly RunStatus[] = ['success', 'error', 'canceled', 'skipped']

export default class MatviewsHistory extends BaseCommand {
  static override summary = 'Show the last refreshes of a view, newest first.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard',
    '<%= config.bin %> <%= command.id %> public.leaderboard --limit 100 --json',
    '<%= config.bin %> <%= command.id %> public.leaderboard --state success --sort duration',
  ]
  static override args = {view: viewArg({required: true})}
  static override flags = {
    output: outputFlag(),
    watch: watchFlag,
    state: Flags.custom<RunStatus>({options: [...STATES]})({
      summary: 'Show only refreshes that ended in this way.',
      helpValue: STATES.join('|'),
    }),
    sort: sortFlag(['started', 'duration'], 'The newest first (default), or the longest duration first.'),
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
    return this.looking(flags, async () => {
      const runs = await this.withDatabase(flags, (db) =>
        history(db, args.view, {
          limit: flags.limit,
          status: flags.state ?? null,
          isLongestFirst: flags.sort === 'duration',
        }),
      )
      await this.show(async (context) => {
        const {renderHistory} = await import('../../render/runs.ts')
        return renderHistory(runs, context, {
          state: flags.state ?? null,
          isNewestFirst: flags.sort !== 'duration',
          limit: flags.limit,
        })
      }, flags)
      return runs
    })
  }
}
