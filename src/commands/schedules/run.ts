import {BaseCommand} from '../../cli/base-command.ts'
import {scheduleArg} from '../../cli/flags.ts'
import {runSchedule} from '../../core/schedules.ts'
import type {JobDocument} from '../../lib/records.ts'

export default class SchedulesRun extends BaseCommand {
  static override summary = 'Queue a run of a schedule for now, enabled or not.'
  static override description =
    'A worker does it at once. Where a run is queued already, that one is returned, and no second one made.'
  static override examples = ['<%= config.bin %> <%= command.id %> nightly']
  static override args = {schedule: scheduleArg({required: true})}

  async run(): Promise<JobDocument> {
    const {args, flags} = await this.parse(SchedulesRun)
    const queued = await this.withDatabase(flags, (db) => runSchedule(db, args.schedule))
    this.print(`Queued job ${queued.job.id}`)
    return queued
  }
}
