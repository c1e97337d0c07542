import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {dryRunFlag, viewArg} from '../../cli/flags.ts'
import {registerCommand} from '../../cli/undo-commands.ts'
import {unregister, unregisterMissing} from '../../core/registrations.ts'
import {invalidArgument} from '../../lib/errors.ts'
import type {
  Registration,
  RegistrationDocument,
  RegistrationsDocument,
} from '../../lib/records/registrations.ts'
import {printableName} from '../../render/text.ts'

export default class MatviewsUnregister extends BaseCommand {
  static override summary = 'Remove the registration of a view. The view itself stays.'
  static override description =
    'Does not ask for confirmation. Prints the command that registers the view again. For a view that was renamed, use `ayb matviews relink` instead.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard',
    '<%= config.bin %> <%= command.id %> --missing --dry-run',
  ]
  static override args = {view: viewArg()}
  static override flags = {
    missing: Flags.boolean({summary: 'Remove the registrations of all views that no longer exist.'}),
    'dry-run': dryRunFlag,
  }

  async run(): Promise<RegistrationDocument | RegistrationsDocument> {
    const {args, flags} = await this.parse(MatviewsUnregister)
    const {view} = args
    const isDryRun = flags['dry-run']
    if (flags.missing) {
      if (view !== undefined) {
        throw invalidArgument('--missing takes no view', 'leave out the view, or --missing')
      }
      const removed = await this.withDatabase(flags, (db) => unregisterMissing(db, {isDryRun}))
      this.#tell(removed.registrations, {isDryRun, once: 'the view is there again'})
      if (removed.registrations.length === 0) this.print('No registered view is missing')
      return removed
    }
    if (view === undefined) {
      throw invalidArgument(
        'ayb matviews unregister needs VIEW or --missing',
        'for example: ayb matviews unregister public.leaderboard',
      )
    }
    const removed = await this.withDatabase(flags, (db) => unregister(db, view, {isDryRun}))
    this.#tell([removed.registration], {isDryRun})
    return removed
  }

  #tell(registrations: readonly Registration[], {isDryRun, once}: {isDryRun: boolean; once?: string}): void {
    const verb = isDryRun ? 'Would unregister' : 'Unregistered'
    for (const registration of registrations) this.print(`${verb} ${printableName(registration)}`)
    for (const registration of registrations) this.noteUndo(registerCommand(registration), {isDryRun, once})
  }
}
