import {BaseCommand} from '../../cli/base-command.ts'
import {watchFlag} from '../../cli/flags.ts'
import {listWorkers} from '../../core/workers.ts'
import type {LiveWorker} from '../../lib/records/workers.ts'

export default class WorkerList extends BaseCommand {
  static override summary = 'List the workers that are alive, and what they refresh.'
  static override description =
    'A worker reports every 15 seconds that it is alive. Workers that have not reported for a minute and two poll intervals are not listed, and neither are workers with --once.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --watch',
    '<%= config.bin %> <%= command.id %> --json',
  ]
  static override flags = {watch: watchFlag}

  async run(): Promise<LiveWorker[]> {
    const {flags} = await this.parse(WorkerList)
    return this.looking(flags, async () => {
      const workers = await this.withDatabase(flags, (db) =>
        listWorkers(db, (warning) => this.addWarning(warning)),
      )
      await this.show(async (context) => {
        const {renderWorkers} = await import('../../render/workers.ts')
        return renderWorkers(workers, context)
      })
      return workers
    })
  }
}
