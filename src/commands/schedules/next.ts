import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {notDuringFlag} from '../../cli/flags.ts'
import {previewRuns} from '../../core/preview.ts'
import {withoutNone} from '../../lib/quiet-times.ts'
import type {NextRuns} from '../../lib/records/schedules.ts'

export default class SchedulesNext extends BaseCommand {
  static override summary = 'Show the next runs of a cron expression; needs no database.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> "0 3 * * *" --timezone Europe/Berlin',
    '<%= config.bin %> <%= command.id %> @hourly --count 3 --json',
    `<%= config.bin %> <%= command.id %> @hourly --not-during "08:00-18:00 mon-fri"`,
  ]
  static override args = {
    cron: Args.string({description: 'A cron expression.', required: true, ignoreStdin: true}),
  }
  static override flags = {
    timezone: Flags.string({
      summary: 'The IANA time zone of the expression.',
      default: 'UTC',
      helpValue: '<zone>',
    }),
    'not-during': notDuringFlag({
      summary: 'A time in which no run begins, such as "08:00-18:00 mon-fri". Can be repeated.',
    }),
    count: Flags.integer({
      summary: 'How many runs to show.',
      default: 5,
      min: 1,
      max: 1000,
      helpValue: '<n>',
    }),
  }

  async run(): Promise<NextRuns> {
    const {args, flags} = await this.parse(SchedulesNext)
    const notDuring = withoutNone(flags['not-during'] ?? [])
    const next = previewRuns({cron: args.cron, timezone: flags.timezone, notDuring}, flags.count, new Date())
    await this.show(async (context) => {
      const {renderNextRuns} = await import('../../render/schedules.ts')
      return renderNextRuns(next, context)
    })
    return next
  }
}
