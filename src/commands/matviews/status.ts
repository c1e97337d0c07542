import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {ageFlag, outputFlag, viewArg} from '../../cli/flags.ts'
import {isBehind, viewStatus} from '../../core/freshness/status.ts'
import {FRESHNESS_STATES, type ViewStatus} from '../../lib/records.ts'
import {summarizeStates} from '../../render/summary.ts'

/** Looked, and not all is as wanted. */
const NOT_AS_WANTED = 9

export default class MatviewsStatus extends BaseCommand {
  static override summary = 'Show how fresh the registered views are, worst first.'
  static override description =
    `never: no refresh has succeeded, or the view holds no data. failing: the last refresh failed. stale: the data is older than --max-age allows, or a view that this view reads was refreshed since. overdue: a refresh should have started more than a minute ago. fresh: in none of these states, and with a schedule or a limit for its age. unwatched: in none of these states, and with neither a schedule nor a limit for its age.

The age counts from the start of the refresh that made the data. If the view reads other materialized views, the age counts from the oldest refresh that went into the data.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> public.leaderboard --max-age 1h --exit-code',
    '<%= config.bin %> <%= command.id %> --state failing --state stale --json',
  ]
  static override args = {view: viewArg({multiple: true})}
  static override flags = {
    output: outputFlag(),
    'max-age': ageFlag({
      summary: 'How old the data may be, instead of the limits that register and update have set.',
    }),
    state: Flags.option({
      summary: 'Show only views in this state. Can be repeated.',
      options: FRESHNESS_STATES,
      multiple: true,
      multipleNonGreedy: true,
    })(),
    'exit-code': Flags.boolean({
      summary: 'Exit with 9 if the state of a shown view is never, failing, stale or overdue.',
    }),
  }

  async run(): Promise<ViewStatus[]> {
    const {args, flags} = await this.parse(MatviewsStatus)
    const views = await this.withDatabase(flags, (db) =>
      viewStatus(db, {
        references: args.view ?? [],
        maxAgeMs: flags['max-age'] ?? null,
        states: flags.state ?? [],
        onWarning: (warning) => this.addWarning(warning),
      }),
    )
    await this.show(async (context) => {
      const {renderStatus} = await import('../../render/freshness.ts')
      return renderStatus(views, context)
    }, flags)
    this.printBeside(() => summarizeStates(views))
    if (flags['exit-code'] && views.some(isBehind)) process.exitCode = NOT_AS_WANTED
    return views
  }
}
