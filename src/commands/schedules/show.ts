import {BaseCommand} from '../../cli/base-command.ts'
import {scheduleArg} from '../../cli/flags.ts'
import {showSchedule} from '../../core/schedules.ts'
import type {ScheduleDocument} from '../../lib/records/schedules.ts'

export default class SchedulesShow extends BaseCommand {
  static override summary = 'Show one schedule.'
  static override examples = ['<%= config.bin %> <%= command.id %> nightly']
  static override args = {schedule: scheduleArg({required: true})}

  async run(): Promise<ScheduleDocument> {
    const {args, flags} = await this.parse(SchedulesShow)
    const shown = await this.withDatabase(flags, (db) => showSchedule(db, args.schedule))
    await this.show(async (context) => {
      const {renderSchedule} = await import('../../render/schedules.ts')
      return renderSchedule(shown.schedule, context)
    })
    return shown
  }
}
