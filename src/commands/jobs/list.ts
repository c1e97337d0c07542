import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {outputFlag, viewFlag, watchFlag} from '../../cli/flags.ts'
import {listJobs} from '../../core/jobs.ts'
import {JOB_STATES, type Job, type JobState} from '../../lib/records/jobs.ts'

export default class JobsList extends BaseCommand {
  static override summary = 'List the newest jobs: view, state, attempts, error.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --watch',
    '<%= config.bin %> <%= command.id %> --state failed --json',
    '<%= config.bin %> <%= command.id %> --schedule nightly --limit 5',
    '<%= config.bin %> <%= command.id %> --view public.leaderboard',
  ]
  static override flags = {
    output: outputFlag(),
    watch: watchFlag,
    state: Flags.custom<JobState>({options: [...JOB_STATES]})({
      summary: `List only jobs in this state: ${JOB_STATES.join(', ')}.`,
      helpValue: '<state>',
    }),
    schedule: Flags.string({
      summary: 'List only jobs of this schedule, by name or id.',
      helpValue: '<schedule>',
    }),
    view: viewFlag({summary: 'List only jobs that refresh this view.'}),
    limit: Flags.integer({
      summary: 'The largest number of jobs to show.',
      default: 50,
      min: 1,
      max: 10_000,
      helpValue: '<n>',
    }),
  }

  async run(): Promise<Job[]> {
    const {flags} = await this.parse(JobsList)
    return this.looking(flags, async () => {
      const {state = null, schedule = null, view = null, limit} = flags
      const filter = {state, schedule, view, limit}
      const jobs = await this.withDatabase(flags, (db) => listJobs(db, filter))
      await this.show(async (context) => {
        const {renderJobs} = await import('../../render/jobs.ts')
        return renderJobs(jobs, context, filter)
      }, flags)
      return jobs
    })
  }
}
