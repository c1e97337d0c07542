import {BaseCommand} from '../../cli/base-command.ts'
import {modeFlag, settingNameFlag, viewArg} from '../../cli/flags.ts'
import {policyChanges, policyFlags} from '../../cli/policy-flags.ts'
import {update} from '../../core/registrations.ts'
import {invalidArgument} from '../../lib/errors.ts'
import {isChange} from '../../lib/policies.ts'
import type {RegistrationDocument} from '../../lib/records/registrations.ts'
import {describeRefresh} from '../../render/policy.ts'
import {printableName} from '../../render/text.ts'

export default class MatviewsUpdate extends BaseCommand {
  static override summary = 'Change how a registered view is refreshed.'
  static override description =
    'Concurrent mode does not block readers. It needs a unique index: while the view has none, ayb refuses the mode and prints the statement that creates the index. Mode auto is concurrent where the view has the index and holds data, else standard: ayb decides before each refresh.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard --mode concurrent',
    '<%= config.bin %> <%= command.id %> public.leaderboard --mode auto',
    '<%= config.bin %> <%= command.id %> public.leaderboard --set work_mem=256MB --unset jit',
    '<%= config.bin %> <%= command.id %> public.leaderboard --refresh-timeout 10m',
  ]
  static override args = {view: viewArg({required: true})}
  static override flags = {
    mode: modeFlag({
      summary:
        'Whether refreshes block readers (standard) or not (concurrent); auto: concurrent where that works.',
    }),
    ...policyFlags,
    unset: settingNameFlag({multiple: true, summary: 'Take this setting of the view away. Can be repeated.'}),
  }

  async run(): Promise<RegistrationDocument> {
    const {args, flags} = await this.parse(MatviewsUpdate)
    const {mode = null} = flags
    const policy = policyChanges(flags)
    if (mode === null && !isChange(policy)) {
      throw invalidArgument(
        'there is nothing to update',
        'pass --mode, --set, --unset, --max-age, --refresh-timeout, --lock-timeout or --lock-retry-for',
      )
    }
    const updated = await this.withDatabase(flags, (db) => update(db, args.view, {mode, policy}))
    this.print(`Updated ${printableName(updated.registration)}: ${describeRefresh(updated.registration)}`)
    return updated
  }
}
