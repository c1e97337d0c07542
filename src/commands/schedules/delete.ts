import {BaseCommand} from '../../cli/base-command.ts'
import {dryRunFlag, scheduleArg} from '../../cli/flags.ts'
import {commandLineDocument} from '../../cli/remedies.ts'
import {createCommand} from '../../cli/undo-commands.ts'
import {deleteSchedule, previewDeletion} from '../../core/schedule-deletion.ts'
import {requestOf} from '../../core/undo.ts'
import type {ScheduleDocument} from '../../lib/records/schedules.ts'

export default class SchedulesDelete extends BaseCommand {
  static override summary = 'Delete a schedule and cancel its queued jobs.'
  static override description =
    'Does not ask for confirmation. Prints the command that creates the schedule again; canceled jobs stay canceled.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> nightly',
    '<%= config.bin %> <%= command.id %> nightly --dry-run',
  ]
  static override args = {schedule: scheduleArg({required: true})}
  static override flags = {'dry-run': dryRunFlag}

  async run(): Promise<ScheduleDocument> {
    const {args, flags} = await this.parse(SchedulesDelete)
    const isDryRun = flags['dry-run']
    const {document: deleted, queuedJobs} = await this.withDatabase(flags, async (db) =>
      isDryRun
        ? previewDeletion(db, args.schedule)
        : {document: await deleteSchedule(db, args.schedule), queuedJobs: 0},
    )
    const document = commandLineDocument(deleted)
    const {schedule} = document
    await this.show(async (context) => {
      const {renderScheduleLine} = await import('../../render/schedules.ts')
      const {renderCancellation} = await import('../../render/jobs.ts')
      const line = renderScheduleLine(isDryRun ? 'Would delete' : 'Deleted', schedule, context)
      return `${line}${renderCancellation(queuedJobs)}`
    })
    this.noteUndo(createCommand(requestOf(schedule)), {isDryRun})
    return document
  }
}
