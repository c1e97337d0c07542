import {BaseCommand} from '../../cli/base-command.ts'
import {viewArg} from '../../cli/flags.ts'
import {unregister} from '../../core/matviews.ts'
import type {RegistrationDocument} from '../../lib/records.ts'
import {printableName} from '../../render/text.ts'

export default class MatviewsUnregister extends BaseCommand {
  static override summary = "Remove a view's registration; the view itself stays as it is."
  static override examples = ['<%= config.bin %> <%= command.id %> public.leaderboard']
  static override args = {view: viewArg({required: true})}

  async run(): Promise<RegistrationDocument> {
    const {args, flags} = await this.parse(MatviewsUnregister)
    const removed = await this.withDatabase(flags, (db) => unregister(db, args.view))
    this.print(`Unregistered ${printableName(removed.registration)}`)
    return removed
  }
}
