import {BaseCommand} from '../../cli/base-command.ts'
import {scheduleArg} from '../../cli/flags.ts'
import {setScheduleEnabled} from '../../core/schedules.ts'
import type {ScheduleDocument} from '../../lib/records/schedules.ts'

export default class SchedulesDisable extends BaseCommand {
  static override summary = 'Stop a schedule from running and cancel its queued jobs.'
  static override examples = ['<%= config.bin %> <%= command.id %> nightly']
  static override args = {schedule: scheduleArg({required: true})}

  async run(): Promise<ScheduleDocument> {
    const {args, flags} = await this.parse(SchedulesDisable)
    const changed = await this.withDatabase(flags, (db) =>
      setScheduleEnabled(db, args.schedule, {enabled: false}),
    )
    await this.show(async (context) => {
      const {renderScheduleLine} = await import('../../render/schedules.ts')
      return renderScheduleLine('Disabled', changed.schedule, context)
    })
    return changed
  }
}
