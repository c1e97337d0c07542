import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {payloadFlag, viewFlag} from '../../cli/flags.ts'
import {checkInput, checkJobType, MOST_ATTEMPTS, scheduleTarget} from '../../core/schedule-input.ts'
import {createSchedule} from '../../core/schedules.ts'
import {invalidArgument} from '../../lib/errors.ts'
import {JOB_TYPE, type ScheduleDocument} from '../../lib/records.ts'

export default class SchedulesCreate extends BaseCommand {
  static override summary = 'Create a schedule that refreshes a view.'
  static override description =
    `Workers (ayb worker) turn it into refreshes. The cron expression has five fields (minute hour day month weekday), six with leading seconds, or is a name such as @daily; it is read in --timezone, across daylight-saving changes too.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --name nightly --cron "0 3 * * *" --timezone Europe/Berlin --view public.leaderboard',
    `<%= config.bin %> <%= command.id %> --name leaderboard_hourly --job-type materialized_view_refresh --cron "0 * * * *" --payload '{"schema": "public", "view_name": "leaderboard"}'`,
  ]
  static override flags = {
    name: Flags.string({summary: 'What to call it.', required: true, helpValue: '<name>'}),
    cron: Flags.string({summary: 'When to run.', required: true, helpValue: '<expression>'}),
    view: viewFlag({summary: 'The view to refresh, by name or registration id.'}),
    payload: payloadFlag({summary: 'The same as a job payload: {"schema": …, "view_name": …}.'}),
    timezone: Flags.string({summary: 'The IANA time zone of --cron.', default: 'UTC', helpValue: '<zone>'}),
    enabled: Flags.boolean({summary: 'Whether it runs from now on.', default: true, allowNo: true}),
    'max-attempts': Flags.integer({
      summary: 'How often a run is tried before it counts as failed.',
      default: 3,
      min: 1,
      max: MOST_ATTEMPTS,
      helpValue: '<n>',
    }),
    'job-type': Flags.string({
      summary: 'What its jobs do; there is one type.',
      default: JOB_TYPE,
      helpValue: JOB_TYPE,
    }),
  }

  async run(): Promise<ScheduleDocument> {
    const {flags} = await this.parse(SchedulesCreate)
    checkJobType(flags['job-type'])
    const target = scheduleTarget(flags.payload, flags.view)
    if (!target) throw invalidArgument('the schedule has nothing to refresh', 'pass --view or --payload')
    const input = checkInput({
      name: flags.name,
      cron: flags.cron,
      timezone: flags.timezone,
      target,
      enabled: flags.enabled,
      maxAttempts: flags['max-attempts'],
    })
    const created = await this.withDatabase(flags, (db) => createSchedule(db, input))
    await this.show(async (context) => {
      const {renderScheduleLine} = await import('../../render/schedules.ts')
      return renderScheduleLine('Created', created.schedule, context)
    })
    return created
  }
}
