import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../cli/base-command.ts'
import {canAsk, confirm} from '../cli/confirm.ts'
import {fileFlag, withFile} from '../cli/declaration-file.ts'
import {apply, compare} from '../core/apply/apply.ts'
import {readDeclarations} from '../core/apply/declarations.ts'
import {invalidArgument} from '../lib/errors.ts'
import type {DeclaredChange, DeclaredChanges} from '../lib/records/declarations.ts'
import {countChanges, renderChanges} from '../render/declared-changes.ts'

export default class Apply extends BaseCommand {
  static override summary = 'Change registrations and schedules to what a file describes.'
  static override description =
    `The file is the whole description of its views and schedules: a key that is left out has its default value, except that \`enabled\` of a schedule stays as it is. ayb first checks the whole file, then makes all changes in one transaction, or none. A second run changes nothing.

Registrations and schedules that the file does not name stay. With --prune, ayb removes them, except the registration of a view that a schedule of the file refreshes. The views themselves always stay. \`ayb export\` prints such a file.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> -f ayb.yaml --dry-run',
    '<%= config.bin %> <%= command.id %> -f ayb.yaml --prune --yes',
    '<%= config.bin %> export | <%= config.bin %> <%= command.id %> -f - --database-url postgres://staging/app',
  ]
  static override flags = {
    file: fileFlag,
    'dry-run': Flags.boolean({summary: 'Print what would be changed, and change nothing.'}),
    prune: Flags.boolean({summary: 'Remove the registrations and schedules that are not in the file.'}),
    yes: Flags.boolean({summary: 'Do not ask before --prune removes something.'}),
  }

  async run(): Promise<DeclaredChanges> {
    const {flags} = await this.parse(Apply)
    const {file: path, prune: isPruning, 'dry-run': isDryRun} = flags
    const isAsking = isPruning && !isDryRun && !flags.yes
    if (isAsking && (this.jsonEnabled() || !canAsk(process.env) || path === '-')) {
      throw invalidArgument(
        '--prune needs --yes where nobody can be asked',
        'pass --yes, or --dry-run to look first',
      )
    }
    let isWanted = true
    const ask = async (changes: readonly DeclaredChange[]) => {
      this.printBeside((terminal) => renderChanges(changes, terminal))
      isWanted = await this.asking(() => confirm(`Apply that (${countChanges(changes)})?`, this.signal))
      return isWanted
    }
    const document = await withFile(
      path,
      (line) => this.printBeside(() => line),
      (text) => {
        const file = readDeclarations(text)
        return this.withDatabase(flags, (db) =>
          isDryRun
            ? compare(db, file, {isPruning})
            : apply(db, file, {isPruning, confirm: isAsking ? ask : null}),
        )
      },
    )
    await this.show(({terminal}) => {
      if (!isWanted) return 'Changed nothing'
      const {changes} = document
      if (changes.length === 0) return 'No changes: the database is as the file describes it'
      const end = isDryRun ? `Would apply: ${countChanges(changes)}` : `Applied: ${doneText(changes)}`
      return `${renderChanges(changes, terminal)}\n${end}`
    })
    return document
  }
}

/** `1 created, 2 updated`. */
const doneText = (changes: readonly DeclaredChange[]): string =>
  countChanges(changes).replace(/to (\w+?)e?(?=,|$)/g, '$1ed')
