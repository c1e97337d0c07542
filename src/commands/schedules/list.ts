import {BaseCommand} from '../../cli/base-command.ts'
import {outputFlag} from '../../cli/flags.ts'
import {scheduleWarnings} from '../../core/schedule-warnings.ts'
import {listSchedules} from '../../core/schedules.ts'
import type {ListedSchedule} from '../../lib/records.ts'

export default class SchedulesList extends BaseCommand {
  static override summary = 'List the schedules: view, next run, how the last run ended.'
  static override examples = ['<%= config.bin %> <%= command.id %>']
  static override flags = {output: outputFlag()}

  async run(): Promise<ListedSchedule[]> {
    const {flags} = await this.parse(SchedulesList)
    const schedules = await this.withDatabase(flags, listSchedules)
    for (const warning of schedules.flatMap(scheduleWarnings)) this.addWarning(warning)
    await this.show(async (context) => {
      const {renderSchedules} = await import('../../render/schedules.ts')
      return renderSchedules(schedules, context)
    }, flags)
    return schedules
  }
}
