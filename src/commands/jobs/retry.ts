import {BaseCommand} from '../../cli/base-command.ts'
import {jobArg} from '../../cli/flags.ts'
import {retryJob} from '../../core/jobs.ts'
import type {JobDocument} from '../../lib/records/jobs.ts'

export default class JobsRetry extends BaseCommand {
  static override summary = 'Queue a failed job, or a canceled job of a set, again with all its attempts.'
  static override examples = ['<%= config.bin %> <%= command.id %> 550e8400-e29b-41d4-a716-446655440000']
  static override args = {job: jobArg({required: true})}

  async run(): Promise<JobDocument> {
    const {args, flags} = await this.parse(JobsRetry)
    const changed = await this.withDatabase(flags, (db) => retryJob(db, args.job))
    const {id, state} = changed.job
    this.print(`${state === 'waiting' ? 'Waits' : 'Queued'} again: job ${id}`)
    return changed
  }
}
