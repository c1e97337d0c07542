import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {modeFlag} from '../../cli/flags.ts'
import type {ConnectionFlags} from '../../cli/global-flags.ts'
import {policyChanges, policyFlags} from '../../cli/policy-flags.ts'
import type {RegisterAllOptions} from '../../core/register-all.ts'
import {register} from '../../core/registrations.ts'
import {invalidArgument} from '../../lib/errors.ts'
import {isUuid, parseIdentifier, parseViewName} from '../../lib/identifier.ts'
import {printable} from '../../lib/printable.ts'
import type {Registered, RegisteredViews, Registration} from '../../lib/records/registrations.ts'
import type {ViewName} from '../../lib/records/values.ts'
import {describeRefresh} from '../../render/policy.ts'
import {printableName} from '../../render/text.ts'

export default class MatviewsRegister extends BaseCommand {
  static override summary = 'Register a materialized view, or all of them, so that ayb can refresh them.'
  static override description =
    'The view must exist. ayb keeps the name as you type it: put the name in double quotes if it contains anything but letters, digits, _ and $. With --all, views that are registered already stay as they are.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard',
    '<%= config.bin %> <%= command.id %> --view leaderboard --schema public --mode standard',
    `<%= config.bin %> <%= command.id %> 'public."weekly stats"' --if-not-exists`,
    '<%= config.bin %> <%= command.id %> --all --schema reports --mode auto',
    '<%= config.bin %> <%= command.id %> public.leaderboard --set work_mem=256MB',
  ]
  static override args = {
    view: Args.string({description: 'schema.view, or a view in schema public.', ignoreStdin: true}),
  }
  static override flags = {
    view: Flags.string({summary: 'The name of the view, instead of the argument.', helpValue: '<name>'}),
    schema: Flags.string({
      summary: 'The schema of --view (default: public), or of the views that --all registers.',
      helpValue: '<name>',
    }),
    all: Flags.boolean({summary: 'Register all materialized views of the database, or of --schema.'}),
    mode: modeFlag({
      summary:
        'Whether refreshes block readers (standard) or not (concurrent; needs a unique index); auto: concurrent where that works.',
      default: 'standard',
    }),
    'if-not-exists': Flags.boolean({summary: 'Succeed if the view is registered already.'}),
    ...policyFlags,
  }

  async run(): Promise<Registered | RegisteredViews> {
    const {args, flags, metadata} = await this.parse(MatviewsRegister)
    const wishes = {mode: flags.mode, policy: policyChanges(flags)}
    if (flags.all) {
      if (args.view !== undefined || flags.view !== undefined) {
        throw invalidArgument('--all takes no view', 'leave out the view, or --all')
      }
      const isModeWanted = metadata.flags.mode?.setFromDefault !== true
      return this.#registerAll(flags, {schema: flags.schema, isModeWanted, ...wishes})
    }
    const name = viewNameOf(args.view, flags.view, flags.schema)
    const registered = await this.withDatabase(flags, (db) =>
      register(db, name, wishes, {isExistingFine: flags['if-not-exists']}),
    )
    const {registration, created} = registered
    const state = created ? 'Registered' : 'Already registered:'
    this.print(`${state} ${described(registration)}`)
    return registered
  }

  async #registerAll(
    flags: ConnectionFlags,
    {schema, ...wishes}: Omit<RegisterAllOptions, 'schemaName'> & {schema: string | undefined},
  ): Promise<RegisteredViews> {
    const {registerAll} = await import('../../core/register-all.ts')
    const schemaName = schema === undefined ? null : parseIdentifier(schema, 'schema name')
    const done = await this.withDatabase(flags, (db) => registerAll(db, {schemaName, ...wishes}))
    const refused = done.refused.map(({view: {schemaName, viewName}, error}) => ({
      schemaName,
      viewName,
      error: this.describeFailure(error),
    }))
    for (const registration of done.registered) this.print(`Registered ${described(registration)}`)
    for (const registration of done.existing) this.print(`Already registered: ${described(registration)}`)
    for (const {error, ...view} of refused) {
      this.print(`Refused ${printableName(view)}: ${printable(error.message)}`)
      if (error.hint !== null) this.print(`Hint: ${printable(error.hint)}`)
    }
    if (done.registered.length + done.existing.length + refused.length === 0) {
      this.print(
        `There is no materialized view${schema === undefined ? '' : ` in schema ${printable(schema)}`}`,
      )
    }
    if (refused.length > 0) process.exitCode = 1
    const {registered, existing, warnings} = done
    return {registered, existing, refused, warnings}
  }
}

/** `public.leaderboard (standard mode, id 1f0c…)` */
const described = (registration: Registration): string =>
  `${printableName(registration)} (${describeRefresh(registration)}, id ${registration.id})`

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
