import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {modeFlag} from '../../cli/flags.ts'
import {register} from '../../core/matviews.ts'
import {invalidArgument} from '../../lib/errors.ts'
import {isUuid, parseIdentifier, parseViewName} from '../../lib/identifier.ts'
import type {Registered, ViewName} from '../../lib/records.ts'
import {printableName} from '../../render/text.ts'

export default class MatviewsRegister extends BaseCommand {
  static override summary = 'Register a materialized view, so that ayb can refresh it.'
  static override description =
    'The view must exist. ayb keeps the name as you type it: put the name in double quotes if it contains anything but letters, digits, _ and $.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard',
    '<%= config.bin %> <%= command.id %> --view leaderboard --schema public --mode standard',
    `<%= config.bin %> <%= command.id %> 'public."weekly stats"' --if-not-exists`,
  ]
  static override args = {
    view: Args.string({description: 'schema.view, or a view in schema public.', ignoreStdin: true}),
  }
  static override flags = {
    view: Flags.string({summary: 'The name of the view, instead of the argument.', helpValue: '<name>'}),
    schema: Flags.string({summary: 'The schema of --view. Default: public.', helpValue: '<name>'}),
    mode: modeFlag({
      summary: 'Whether refreshes block readers (standard) or not (concurrent; needs a unique index).',
      default: 'standard',
    }),
    'if-not-exists': Flags.boolean({summary: 'Succeed if the view is registered already.'}),
  }

  async run(): Promise<Registered> {
    const {args, flags} = await this.parse(MatviewsRegister)
    const name = viewNameOf(args.view, flags.view, flags.schema)
    const registered = await this.withDatabase(flags, (db) =>
      register(db, name, flags.mode, {isExistingFine: flags['if-not-exists']}),
    )
    const {registration, created} = registered
    const state = created ? 'Registered' : 'Already registered:'
    this.print(
      `${state} ${printableName(registration)} (${registration.refreshMode} mode, id ${registration.id})`,
    )
    return registered
  }
}

function viewNameOf(
  argument: string | undefined,
  view: string | undefined,
  schema: string | undefined,
): ViewName {
  if (argument !== undefined) {
    if (view !== undefined || schema !== undefined) {
      throw invalidArgument(
        'the view is named twice',
        'write it as schema.view, or as --view and --schema, not both',
      )
    }
    if (isUuid(argument)) {
      throw invalidArgument(
        'a view is registered by its name, not by an id',
        'ayb matviews discover shows the names',
      )
    }
    return parseViewName(argument)
  }
  if (view === undefined) {
    throw invalidArgument(
      'ayb matviews register needs a view',
      'for example: ayb matviews register public.leaderboard',
    )
  }
  return {
    schemaName: parseIdentifier(schema ?? 'public', 'schema name'),
    viewName: parseIdentifier(view, 'view name'),
  }
}
