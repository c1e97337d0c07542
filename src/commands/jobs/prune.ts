import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {canAsk, confirm} from '../../cli/confirm.ts'
import {ageFlag, dryRunFlag} from '../../cli/flags.ts'
import {pruneJobs} from '../../core/jobs.ts'
import type {Pruned} from '../../lib/records.ts'
import {renderPruneCount} from '../../render/jobs.ts'

export default class JobsPrune extends BaseCommand {
  static override summary =
    'Delete jobs that ended long ago, with their runs, and all other runs as old as that.'
  static override description =
    'Completed, failed and canceled jobs only. Runs of refreshes by hand go by their age, too. Workers do the same by themselves, after --retention. On a terminal it asks first.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --older-than 7d',
    '<%= config.bin %> <%= command.id %> --older-than 7d --dry-run',
  ]
  static override flags = {
    'older-than': ageFlag({summary: 'How long ago they must have ended.', required: true}),
    'dry-run': dryRunFlag,
    yes: Flags.boolean({summary: 'Do not ask.'}),
  }

  async run(): Promise<Pruned> {
    const {flags} = await this.parse(JobsPrune)
    const olderThanMs = flags['older-than']
    const isDryRun = flags['dry-run']
    const isAsking = !flags.yes && !this.jsonEnabled() && canAsk(process.env)
    let isWanted = true
    const ask = async ({jobs, runs}: {jobs: number; runs: number}) => {
      isWanted = await confirm(`Delete ${renderPruneCount(jobs, runs)}?`, this.signal)
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
