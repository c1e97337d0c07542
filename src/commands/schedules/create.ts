import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {
  ageFlag,
  payloadFlag,
  schedulePolicyFlags,
  schedulePolicyInput,
  scopeFlags,
  viewFlag,
} from '../../cli/flags.ts'
import {
  checkInput,
  checkJobType,
  MOST_ATTEMPTS,
  scheduleTarget,
  scheduleTiming,
} from '../../core/schedule-input.ts'
import {createSchedule} from '../../core/schedules.ts'
import {invalidArgument} from '../../lib/errors.ts'
import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {ScheduleDocument} from '../../lib/records/schedules.ts'

export default class SchedulesCreate extends BaseCommand {
  static override summary = 'Create a schedule that refreshes a view.'
  static override description =
    `Workers (ayb worker) run the schedule. The cron expression has five fields (minute hour day month weekday), or six with seconds first, or is a name such as @daily. Times are in the zone of --timezone, and follow its daylight-saving time.

With --max-age in place of --cron, workers refresh the view early enough that its data never gets older than that: they know how long its refreshes take. Where the view may be skipped while nothing has changed (ayb matviews update VIEW --skip-unchanged), they also look for changes, five times per --max-age, and refresh as soon as they find one.

With --cascade or --with-dependencies, a run refreshes several views in order. The run is a set of jobs: the job of a view is queued when the jobs of the views that it reads are completed. If a job fails, the jobs that wait for it are canceled. No new run begins before the set has ended.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --name nightly --cron @daily --view public.top',
    '<%= config.bin %> <%= command.id %> --name live --max-age 30s --view public.top',
    '<%= config.bin %> <%= command.id %> --name all --cron "0 3 * * *" --view top --cascade',
    `<%= config.bin %> <%= command.id %> --name x --cron @daily --payload '{"view_name": "top"}'`,
  ]
  static override flags = {
    name: Flags.string({summary: 'The name of the schedule.', required: true, helpValue: '<name>'}),
    cron: Flags.string({summary: 'When to run, as a cron expression.', helpValue: '<expression>'}),
    'max-age': ageFlag({
      summary: 'How old the data of the view may become, in place of --cron: 5s, 10m, 1d.',
    }),
    view: viewFlag({summary: 'The view to refresh, by name or registration id.'}),
    payload: payloadFlag({
      summary: 'The view as a job payload, instead of --view: {"schema": …, "view_name": …}.',
    }),
    ...scopeFlags,
    ...schedulePolicyFlags,
    timezone: Flags.string({summary: 'The IANA time zone of --cron.', default: 'UTC', helpValue: '<zone>'}),
    enabled: Flags.boolean({summary: 'Whether the schedule runs.', default: true, allowNo: true}),
    'max-attempts': Flags.integer({
      summary: 'How many attempts a job has before it fails.',
      default: 3,
      min: 1,
      max: MOST_ATTEMPTS,
      helpValue: '<n>',
    }),
    'job-type': Flags.string({
      summary: 'The type of its jobs. There is only one type.',
      default: JOB_TYPE,
      helpValue: JOB_TYPE,
    }),
  }

  async run(): Promise<ScheduleDocument> {
    const {flags} = await this.parse(SchedulesCreate)
    checkJobType(flags['job-type'])
    const target = scheduleTarget(flags.payload, flags.view)
    if (!target) throw invalidArgument('the schedule has nothing to refresh', 'pass --view or --payload')
    const {cron, maxAgeMs} = scheduleTiming(flags.cron, flags['max-age'])
    if (cron === undefined) throw invalidArgument('the schedule has no time', 'pass --cron or --max-age')
    const input = checkInput({
      name: flags.name,
      cron,
      maxAgeMs,
      timezone: flags.timezone,
      target,
      enabled: flags.enabled,
      maxAttempts: flags['max-attempts'],
      isCascade: flags.cascade,
      isWithDependencies: flags['with-dependencies'],
      ...schedulePolicyInput(flags),
    })
    const created = await this.withDatabase(flags, (db) => createSchedule(db, input))
    await this.show(async (context) => {
      const {renderScheduleLine} = await import('../../render/schedules.ts')
      return renderScheduleLine('Created', created.schedule, context)
    })
    return created
  }
}
