import {BaseCommand} from '../../cli/base-command.ts'
import {jobArg} from '../../cli/flags.ts'
import {showJob} from '../../core/jobs.ts'
import type {JobDocument} from '../../lib/records/jobs.ts'

export default class JobsShow extends BaseCommand {
  static override summary = 'Show one job: its view, state, attempts and error.'
  static override examples = ['<%= config.bin %> <%= command.id %> 550e8400-e29b-41d4-a716-446655440000']
  static override args = {job: jobArg({required: true})}

  async run(): Promise<JobDocument> {
    const {args, flags} = await this.parse(JobsShow)
    const shown = await this.withDatabase(flags, (db) => showJob(db, args.job))
    await this.show(async (context) => {
      const {renderJob} = await import('../../render/jobs.ts')
      return renderJob(shown.job, context)
    })
    return shown
  }
}
