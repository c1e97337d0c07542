import {BaseCommand} from '../../cli/base-command.ts'
import {jobArg} from '../../cli/flags.ts'
import {cancelJob} from '../../core/jobs.ts'
import type {JobDocument} from '../../lib/records/jobs.ts'

export default class JobsCancel extends BaseCommand {
  static override summary = 'Cancel a job that is queued, waiting or running.'
  static override description =
    'If the job is running, ayb cancels its refresh: the view keeps the data that it has, and no worker tries the job again. For that, your role needs the rights of the role that refreshes the view, or those of pg_signal_backend, and a connection without a pooler.'
  static override examples = ['<%= config.bin %> <%= command.id %> 550e8400-e29b-41d4-a716-446655440000']
  static override args = {job: jobArg({required: true})}

  async run(): Promise<JobDocument> {
    const {args, flags} = await this.parse(JobsCancel)
    const changed = await this.withDatabase(flags, (db) => cancelJob(db, args.job))
    this.print(`Canceled: job ${changed.job.id}`)
    return changed
  }
}
