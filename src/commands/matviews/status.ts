import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {ageFlag, outputFlag, rowsFlag, sortFlag, viewArg, watchFlag} from '../../cli/flags.ts'
import {isBehind, viewStatus} from '../../core/freshness/status.ts'
import {arrange, descending, type SortKey} from '../../lib/arrange.ts'
import {parseIdentifier, qualifiedName} from '../../lib/identifier.ts'
import {FRESHNESS_STATES, type ViewStatus} from '../../lib/records/freshness.ts'
import {summarizeStates, withSummary} from '../../render/summary.ts'

const SORTS = {
  urgency: () => null,
  name: qualifiedName,
  age: descending(({ageMs}) => ageMs),
} satisfies Record<string, SortKey<ViewStatus>>

/** Looked, and not all is as wanted. */
const NOT_AS_WANTED = 9

export default class MatviewsStatus extends BaseCommand {
  static override summary = 'Show how fresh the registered views are, worst first.'
  static override description =
    `never: no refresh has succeeded, or the view holds no data. failing: the last refresh failed. stale: the data is older than --max-age allows, or a view that this view reads was refreshed since. overdue: a refresh should have started more than a minute ago. fresh: in none of these states, and with a schedule or a limit for its age. unwatched: in none of these states, and with neither a schedule nor a limit for its age.

The age counts from the start of the refresh that made the data. If the view reads other materialized views, the age counts from the oldest refresh that went into the data.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --watch',
    '<%= config.bin %> <%= command.id %> public.leaderboard --max-age 1h --exit-code',
    '<%= config.bin %> <%= command.id %> --state failing --state stale --json',
  ]
  static override args = {view: viewArg({multiple: true})}
  static override flags = {
    output: outputFlag(),
    watch: watchFlag,
    'max-age': ageFlag({
      summary: 'How old the data may be, instead of the limits that register and update have set.',
    }),
    state: Flags.option({
      summary: 'Show only views in this state. Can be repeated.',
      options: FRESHNESS_STATES,
      multiple: true,
      multipleNonGreedy: true,
    })(),
    schema: Flags.string({summary: 'Show only the views of this schema.', helpValue: '<name>'}),
    sort: sortFlag(
      ['urgency', 'name', 'age'],
      'The worst first (default), by name, or the oldest data first.',
    ),
    limit: rowsFlag('The largest number of views to show. The summary and --exit-code count all views.'),
    'exit-code': Flags.boolean({
      summary: 'Exit with 9 if one of the views is never, failing, stale or overdue.',
    }),
  }

  async run(): Promise<ViewStatus[]> {
    const {args, flags} = await this.parse(MatviewsStatus)
    return this.looking(flags, async () => {
      const schema = flags.schema === undefined ? null : parseIdentifier(flags.schema, 'schema name')
      const states = flags.state ?? []
      const all = await this.withDatabase(flags, (db) =>
        viewStatus(db, {
          references: args.view ?? [],
          maxAgeMs: flags['max-age'] ?? null,
          states,
          schema,
          onWarning: (warning) => this.addWarning(warning),
        }),
      )
      const views = arrange(all, {by: SORTS[flags.sort ?? 'urgency'], limit: flags.limit})
      const summary = summarizeStates(all)
      await this.show(async (context) => {
        const {renderStatus} = await import('../../render/freshness.ts')
        const table = renderStatus(views, context, {views: args.view ?? [], schema, states})
        const isSummedUp = context.terminal.isTerminal && views.length > 0
        return isSummedUp ? withSummary(table, summary, context.terminal) : table
      }, flags)
      if (process.stdout.isTTY !== true) this.printBeside(() => summary)
      if (flags['exit-code']) process.exitCode = all.some(isBehind) ? NOT_AS_WANTED : 0
      return views
    })
  }
}
