import {BaseCommand} from '../../cli/base-command.ts'
import {scheduleArg} from '../../cli/flags.ts'
import {deleteSchedule} from '../../core/schedules.ts'
import type {ScheduleDocument} from '../../lib/records.ts'

export default class SchedulesDelete extends BaseCommand {
  static override summary = 'Delete a schedule; cancels what it has queued.'
  static override examples = ['<%= config.bin %> <%= command.id %> nightly']
  static override args = {schedule: scheduleArg({required: true})}

  async run(): Promise<ScheduleDocument> {
    const {args, flags} = await this.parse(SchedulesDelete)
    const changed = await this.withDatabase(flags, (db) => deleteSchedule(db, args.schedule))
    await this.show(async (context) => {
      const {renderScheduleLine} = await import('../../render/schedules.ts')
      return renderScheduleLine('Deleted', changed.schedule, context)
    })
    return changed
  }
}
