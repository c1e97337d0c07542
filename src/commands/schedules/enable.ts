import {BaseCommand} from '../../cli/base-command.ts'
import {scheduleArg} from '../../cli/flags.ts'
import {setScheduleEnabled} from '../../core/schedules.ts'
import type {ScheduleDocument} from '../../lib/records/schedules.ts'

export default class SchedulesEnable extends BaseCommand {
  static override summary = 'Let a disabled schedule run again, from its next due time.'
  static override examples = ['<%= config.bin %> <%= command.id %> nightly']
  static override args = {schedule: scheduleArg({required: true})}

  async run(): Promise<ScheduleDocument> {
    const {args, flags} = await this.parse(SchedulesEnable)
    const changed = await this.withDatabase(flags, (db) =>
      setScheduleEnabled(db, args.schedule, {enabled: true}),
    )
    await this.show(async (context) => {
      const {renderScheduleLine} = await import('../../render/schedules.ts')
      return renderScheduleLine('Enabled', changed.schedule, context)
    })
    return changed
  }
}
