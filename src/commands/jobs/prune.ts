import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {canAsk, confirm} from '../../cli/confirm.ts'
import {ageFlag, dryRunFlag} from '../../cli/flags.ts'
import {pruneJobs} from '../../core/jobs.ts'
import type {Pruned} from '../../lib/records/jobs.ts'
import {renderPruneCount} from '../../render/jobs.ts'

export default class JobsPrune extends BaseCommand {
  static override summary = 'Delete old finished jobs, and old runs of the history.'
  static override description =
    'Deletes completed, failed and canceled jobs with their runs, and all other runs of that age, also those of refreshes by hand. Asks for confirmation on a terminal. Workers delete the same jobs and runs after --retention.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --older-than 7d',
    '<%= config.bin %> <%= command.id %> --older-than 7d --dry-run',
  ]
  static override flags = {
    'older-than': ageFlag({summary: 'Delete jobs and runs that ended longer ago than this.', required: true}),
    'dry-run': dryRunFlag,
    yes: Flags.boolean({summary: 'Do not ask for confirmation.'}),
  }

  async run(): Promise<Pruned> {
    const {flags} = await this.parse(JobsPrune)
    const olderThanMs = flags['older-than']
    const isDryRun = flags['dry-run']
    const isAsking = !flags.yes && !this.jsonEnabled() && canAsk(process.env)
    let isWanted = true
    const ask = async ({jobs, runs}: {jobs: number; runs: number}) => {
      isWanted = await this.asking(() => confirm(`Delete ${renderPruneCount(jobs, runs)}?`, this.signal))
      return isWanted
    }
    const pruned = await this.withDatabase(flags, (db) =>
      pruneJobs(db, {olderThanMs, isDryRun, confirm: isAsking ? ask : null}),
    )
    const count = renderPruneCount(pruned.deleted, pruned.deletedRuns)
    this.print(isWanted ? `${isDryRun ? 'Would delete' : 'Deleted'} ${count}` : 'Deleted nothing')
    return pruned
  }
}
