import {BaseCommand} from '../../cli/base-command.ts'
import {modeFlag, viewArg} from '../../cli/flags.ts'
import {update} from '../../core/matviews.ts'
import {invalidArgument} from '../../lib/errors.ts'
import type {RegistrationDocument} from '../../lib/records.ts'
import {printableName} from '../../render/text.ts'

export default class MatviewsUpdate extends BaseCommand {
  static override summary = 'Change how a registered view is refreshed.'
  static override description =
    'Concurrent mode does not block readers. It needs a unique index: while the view has none, ayb refuses the mode and prints the statement that creates the index.'
  static override examples = ['<%= config.bin %> <%= command.id %> public.leaderboard --mode concurrent']
  static override args = {view: viewArg({required: true})}
  static override flags = {
    mode: modeFlag({summary: 'Whether refreshes block readers (standard) or not (concurrent).'}),
  }

  async run(): Promise<RegistrationDocument> {
    const {args, flags} = await this.parse(MatviewsUpdate)
    const {mode} = flags
    if (!mode)
      throw invalidArgument('there is nothing to update', 'pass --mode standard or --mode concurrent')
    const updated = await this.withDatabase(flags, (db) => update(db, args.view, mode))
    this.print(`Updated ${printableName(updated.registration)}: ${mode} mode`)
    return updated
  }
}
