import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {outputFlag, rowsFlag, sortFlag, watchFlag} from '../../cli/flags.ts'
import {listMatviews} from '../../core/view-list.ts'
import {arrange, descending, type SortKey} from '../../lib/arrange.ts'
import {parseIdentifier} from '../../lib/identifier.ts'
import {FRESHNESS_STATES} from '../../lib/records/freshness.ts'
import type {ListedRegistration} from '../../lib/records/registrations.ts'

const SORTS = {
  name: () => null,
  'last-refresh': descending(({lastRefreshAt}) => lastRefreshAt),
  duration: descending(({lastRefreshDurationMs}) => lastRefreshDurationMs),
  'next-run': ({nextRunAt}) => nextRunAt,
} satisfies Record<string, SortKey<ListedRegistration>>

export default class MatviewsList extends BaseCommand {
  static override summary = 'List the registered views: mode, last refresh, next run.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --watch',
    '<%= config.bin %> <%= command.id %> --schema reports --json',
    '<%= config.bin %> <%= command.id %> --state failing --state stale',
    '<%= config.bin %> <%= command.id %> --sort duration --limit 10',
  ]
  static override flags = {
    output: outputFlag(),
    watch: watchFlag,
    schema: Flags.string({summary: 'List only the views of this schema.', helpValue: '<name>'}),
    state: Flags.option({
      summary: 'List only views in this state; matviews status explains the states. Can be repeated.',
      options: FRESHNESS_STATES,
      multiple: true,
      multipleNonGreedy: true,
    })(),
    sort: sortFlag(
      ['name', 'last-refresh', 'duration', 'next-run'],
      'By name, by the last refresh (newest first), by its duration (longest first), or by the next run.',
    ),
    limit: rowsFlag('The largest number of views to show.'),
  }

  async run(): Promise<ListedRegistration[]> {
    const {flags} = await this.parse(MatviewsList)
    return this.looking(flags, async () => {
      const schema = flags.schema === undefined ? null : parseIdentifier(flags.schema, 'schema name')
      const states = flags.state ?? []
      const listed = await this.withDatabase(flags, (db) =>
        listMatviews(db, schema, (warning) => this.addWarning(warning)),
      )
      const all = listed.filter(({state}) => states.length === 0 || states.includes(state))
      const registrations = arrange(all, {by: SORTS[flags.sort ?? 'name'], limit: flags.limit})
      await this.show(async (context) => {
        const {renderRegistrations} = await import('../../render/registrations.ts')
        return renderRegistrations(registrations, context, {schema, states, total: all.length})
      }, flags)
      return registrations
    })
  }
}
