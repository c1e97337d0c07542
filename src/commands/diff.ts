import {BaseCommand} from '../cli/base-command.ts'
import {fileFlag, withFile} from '../cli/declaration-file.ts'
import {compare} from '../core/apply/apply.ts'
import {readDeclarations} from '../core/apply/declarations.ts'
import type {DeclaredChanges} from '../lib/records/declarations.ts'
import {countChanges, renderChanges} from '../render/declared-changes.ts'

/** Looked, and the database is not as the file wants it. */
const NOT_AS_WANTED = 9

export default class Diff extends BaseCommand {
  static override summary = 'Show how the database differs from a file of views and schedules.'
  static override description =
    'Prints what `ayb apply` with the same file would change, and changes nothing. Exits with 9 if something differs. Views and schedules that the file does not name do not count.'
  static override examples = ['<%= config.bin %> <%= command.id %> -f ayb.yaml']
  static override flags = {file: fileFlag}

  async run(): Promise<DeclaredChanges> {
    const {flags} = await this.parse(Diff)
    const document = await withFile(
      flags.file,
      (line) => this.printBeside(() => line),
      (text) => {
        const file = readDeclarations(text)
        return this.withDatabase(flags, (db) => compare(db, file))
      },
    )
    const {changes} = document
    await this.show(({terminal}) =>
      changes.length === 0
        ? 'No differences'
        : `${renderChanges(changes, terminal)}\n${countChanges(changes)}`,
    )
    if (changes.length > 0) process.exitCode = NOT_AS_WANTED
    return document
  }
}
