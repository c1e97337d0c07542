import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../cli/base-command.ts'
import {exportDeclarations, yamlOf} from '../core/apply/export.ts'
import {FILE_SCHEMA} from '../core/apply/json-schema.ts'
import {invalidArgument} from '../lib/errors.ts'
import {parseIdentifier} from '../lib/identifier.ts'
import {printableJson} from '../lib/printable.ts'
import type {Declarations} from '../lib/records/declarations.ts'

export default class Export extends BaseCommand {
  static override summary = 'Print the registrations and schedules as a file for `ayb apply`.'
  static override description =
    'Prints YAML, or with --json the same document as JSON, which apply reads as well. Keys with their default values are left out.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> > ayb.yaml',
    '<%= config.bin %> <%= command.id %> --schema reports',
    '<%= config.bin %> <%= command.id %> --json-schema > ayb.schema.json',
  ]
  static override flags = {
    schema: Flags.string({summary: 'Only views of this schema, and their schedules.', helpValue: '<name>'}),
    'json-schema': Flags.boolean({
      summary: 'Print what such a file may hold, as a JSON Schema for editors. Needs no database.',
    }),
  }

  async run(): Promise<Declarations | object> {
    const {flags} = await this.parse(Export)
    if (flags['json-schema']) {
      if (flags.schema !== undefined) {
        throw invalidArgument('--json-schema takes no --schema', 'leave out one of the two')
      }
      this.print(printableJson(FILE_SCHEMA, 2))
      return FILE_SCHEMA
    }
    const schemaName = flags.schema === undefined ? null : parseIdentifier(flags.schema, 'schema name')
    const declarations = await this.withDatabase(flags, (db) =>
      exportDeclarations(db, schemaName, (warning) => this.addWarning(warning)),
    )
    this.print(yamlOf(declarations))
    return declarations
  }
}
