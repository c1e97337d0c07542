import {BaseCommand} from '../../cli/base-command.ts'
import {jobStats} from '../../core/jobs.ts'
import type {JobStats} from '../../lib/records/jobs.ts'

export default class JobsStats extends BaseCommand {
  static override summary = 'Count the jobs in each state.'
  static override examples = ['<%= config.bin %> <%= command.id %>']

  async run(): Promise<JobStats> {
    const {flags} = await this.parse(JobsStats)
    const stats = await this.withDatabase(flags, (db) => jobStats(db))
    await this.show(async (context) => {
      const {renderJobStats} = await import('../../render/jobs.ts')
      return renderJobStats(stats, context)
    })
    return stats
  }
}
