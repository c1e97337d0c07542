import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {
  ageFlag,
  payloadFlag,
  scheduleArg,
  schedulePolicyFlags,
  schedulePolicyInput,
  scopeFlags,
  viewFlag,
} from '../../cli/flags.ts'
import {checkInput, MOST_ATTEMPTS, scheduleTarget, scheduleTiming} from '../../core/schedule-input.ts'
import {updateSchedule} from '../../core/schedules.ts'
import {invalidArgument} from '../../lib/errors.ts'
import type {ScheduleDocument} from '../../lib/records/schedules.ts'

export default class SchedulesUpdate extends BaseCommand {
  static override summary = 'Change a schedule.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> nightly --cron "30 2 * * *"',
    '<%= config.bin %> <%= command.id %> nightly --max-age 1h',
    '<%= config.bin %> <%= command.id %> nightly --timezone America/New_York --max-attempts 5',
  ]
  static override args = {schedule: scheduleArg({required: true})}
  static override flags = {
    name: Flags.string({summary: 'The new name of the schedule.', helpValue: '<name>'}),
    cron: Flags.string({summary: 'When to run, as a cron expression.', helpValue: '<expression>'}),
    'max-age': ageFlag({
      summary: 'How old the data of the view may become, in place of the cron expression.',
    }),
    view: viewFlag({summary: 'The view to refresh, by name or registration id.'}),
    payload: payloadFlag({
      summary: 'The view as a job payload, instead of --view: {"schema": …, "view_name": …}.',
    }),
    ...scopeFlags,
    ...schedulePolicyFlags,
    timezone: Flags.string({summary: 'The IANA time zone of --cron.', helpValue: '<zone>'}),
    enabled: Flags.boolean({summary: 'Whether the schedule runs.', allowNo: true}),
    'max-attempts': Flags.integer({
      summary: 'How many attempts a job has before it fails.',
      min: 1,
      max: MOST_ATTEMPTS,
      helpValue: '<n>',
    }),
  }

  async run(): Promise<ScheduleDocument> {
    const {args, flags} = await this.parse(SchedulesUpdate)
    const changes = checkInput({
      name: flags.name,
      ...scheduleTiming(flags.cron, flags['max-age']),
      timezone: flags.timezone,
      target: scheduleTarget(flags.payload, flags.view),
      enabled: flags.enabled,
      maxAttempts: flags['max-attempts'],
      isCascade: flags.cascade,
      isWithDependencies: flags['with-dependencies'],
      ...schedulePolicyInput(flags),
    })
    if (Object.values(changes).every((change) => change === undefined)) {
      throw invalidArgument(
        'there is nothing to update',
        'pass at least one flag; see: ayb schedules update --help',
      )
    }
    const updated = await this.withDatabase(flags, (db) => updateSchedule(db, args.schedule, changes))
    await this.show(async (context) => {
      const {renderScheduleLine} = await import('../../render/schedules.ts')
      return renderScheduleLine('Updated', updated.schedule, context)
    })
    return updated
  }
}
