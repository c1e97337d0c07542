import {BaseCommand} from '../../cli/base-command.ts'
import {scheduleArg} from '../../cli/flags.ts'
import {runSchedule} from '../../core/schedules.ts'
import type {JobDocument} from '../../lib/records.ts'

export default class SchedulesRun extends BaseCommand {
  static override summary = 'Queue a job of a schedule now, even if the schedule is disabled.'
  static override description =
    'A worker runs the job at once. If the schedule has a queued job already, ayb shows that job and creates no second one.'
  static override examples = ['<%= config.bin %> <%= command.id %> nightly']
  static override args = {schedule: scheduleArg({required: true})}

  async run(): Promise<JobDocument> {
    const {args, flags} = await this.parse(SchedulesRun)
    const queued = await this.withDatabase(flags, (db) => runSchedule(db, args.schedule))
    this.print(`Queued job ${queued.job.id}`)
    return queued
  }
}
