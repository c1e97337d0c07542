import {BaseCommand} from '../../cli/base-command.ts'
import {modeFlag, viewArg} from '../../cli/flags.ts'
import {update} from '../../core/matviews.ts'
import {invalidArgument} from '../../lib/errors.ts'
import type {RegistrationDocument} from '../../lib/records.ts'
import {modePhrase} from '../../render/mode.ts'
import {printableName} from '../../render/text.ts'

export default class MatviewsUpdate extends BaseCommand {
  static override summary = 'Change how a registered view is refreshed.'
  static override description =
    'Concurrent mode does not block readers. It needs a unique index: while the view has none, ayb refuses the mode and prints the statement that creates the index. Mode auto is concurrent where the view has the index and holds data, else standard: ayb decides before each refresh.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard --mode concurrent',
    '<%= config.bin %> <%= command.id %> public.leaderboard --mode auto',
  ]
  static override args = {view: viewArg({required: true})}
  static override flags = {
    mode: modeFlag({
      summary:
        'Whether refreshes block readers (standard) or not (concurrent); auto: concurrent where that works.',
    }),
  }

  async run(): Promise<RegistrationDocument> {
    const {args, flags} = await this.parse(MatviewsUpdate)
    const {mode} = flags
    if (!mode)
      throw invalidArgument(
        'there is nothing to update',
        'pass --mode auto, --mode standard or --mode concurrent',
      )
    const updated = await this.withDatabase(flags, (db) => update(db, args.view, mode))
    this.print(`Updated ${printableName(updated.registration)}: ${modePhrase(updated.registration)}`)
    return updated
  }
}
