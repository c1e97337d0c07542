import {BaseCommand} from '../../cli/base-command.ts'
import {viewArg} from '../../cli/flags.ts'
import {cancelRefresh} from '../../core/cancel-refresh.ts'
import {formatDuration} from '../../lib/duration.ts'
import {printable} from '../../lib/printable.ts'
import type {CanceledRefreshes} from '../../lib/records/refreshes.ts'

export default class MatviewsCancel extends BaseCommand {
  static override summary = 'Cancel the refresh of a view that runs now.'
  static override description =
    'A job is canceled first, so that no worker tries the job again. Then the server cancels the refresh, and the view keeps the data that it has. Your role needs the rights of the role that refreshes the view, or those of pg_signal_backend, and a connection without a pooler.'
  static override examples = ['<%= config.bin %> <%= command.id %> public.leaderboard']
  static override args = {view: viewArg({required: true})}

  async run(): Promise<CanceledRefreshes> {
    const {args, flags} = await this.parse(MatviewsCancel)
    const document = await this.withDatabase(flags, (db) => cancelRefresh(db, args.view, this.signal))
    for (const {pid, user, application, runningMs} of document.canceled) {
      const whose = [application ?? 'a session', ...(user === null ? [] : [`of role ${user}`])].join(' ')
      const since = runningMs === null ? '' : `, after ${formatDuration(runningMs)}`
      this.print(`Canceled the refresh by pid ${pid} (${printable(whose)})${since}`)
    }
    return document
  }
}
