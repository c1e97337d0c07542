import {BaseCommand} from '../../cli/base-command.ts'
import {ageFlag} from '../../cli/flags.ts'
import {pruneJobs} from '../../core/jobs.ts'
import type {Pruned} from '../../lib/records.ts'

export default class JobsPrune extends BaseCommand {
  static override summary = 'Delete jobs that ended long ago, with their runs.'
  static override description =
    'Completed, failed and canceled jobs only. Workers do the same by themselves, after --retention.'
  static override examples = ['<%= config.bin %> <%= command.id %> --older-than 7d']
  static override flags = {
    'older-than': ageFlag({summary: 'How long ago they must have ended.', required: true}),
  }

  async run(): Promise<Pruned> {
    const {flags} = await this.parse(JobsPrune)
    const pruned = await this.withDatabase(flags, (db) => pruneJobs(db, flags['older-than']))
    this.print(`Deleted ${pruned.deleted} ${pruned.deleted === 1 ? 'job' : 'jobs'}`)
    return pruned
  }
}
