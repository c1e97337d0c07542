import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {outputFlag, rowsFlag, sortFlag, watchFlag} from '../../cli/flags.ts'
import {scheduleWarnings} from '../../core/schedule-warnings.ts'
import {listSchedules} from '../../core/schedules.ts'
import {arrange, descending, type SortKey} from '../../lib/arrange.ts'
import {parseIdentifier} from '../../lib/identifier.ts'
import {viewOfPayload} from '../../lib/payload.ts'
import type {ListedSchedule} from '../../lib/records/schedules.ts'

const SORTS = {
  name: () => null,
  'next-run': ({nextRunAt}) => nextRunAt,
  'last-run': descending(({lastRunAt}) => lastRunAt),
} satisfies Record<string, SortKey<ListedSchedule>>

export default class SchedulesList extends BaseCommand {
  static override summary = 'List the schedules: view, next run, how the last run ended.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --watch',
    '<%= config.bin %> <%= command.id %> --state disabled',
    '<%= config.bin %> <%= command.id %> --sort next-run --limit 10',
  ]
  static override flags = {
    output: outputFlag(),
    watch: watchFlag,
    state: Flags.custom<'enabled' | 'disabled'>({options: ['enabled', 'disabled']})({
      summary: 'List only schedules that are enabled, or disabled.',
      helpValue: 'enabled|disabled',
    }),
    schema: Flags.string({summary: 'List only schedules of views of this schema.', helpValue: '<name>'}),
    sort: sortFlag(
      ['name', 'next-run', 'last-run'],
      'By name, by the next run, or by the last run (newest first).',
    ),
    limit: rowsFlag('The largest number of schedules to show.'),
  }

  async run(): Promise<ListedSchedule[]> {
    const {flags} = await this.parse(SchedulesList)
    return this.looking(flags, async () => {
      const schema = flags.schema === undefined ? null : parseIdentifier(flags.schema, 'schema name')
      const all = (await this.withDatabase(flags, listSchedules)).filter(
        ({enabled, payload}) =>
          (flags.state === undefined || enabled === (flags.state === 'enabled')) &&
          (schema === null || viewOfPayload(payload)?.schemaName === schema),
      )
      const schedules = arrange(all, {by: SORTS[flags.sort ?? 'name'], limit: flags.limit})
      for (const warning of schedules.flatMap(scheduleWarnings)) this.addWarning(warning)
      await this.show(async (context) => {
        const {renderSchedules} = await import('../../render/schedules.ts')
        return renderSchedules(schedules, context, {state: flags.state ?? null, schema, total: all.length})
      }, flags)
      return schedules
    })
  }
}
