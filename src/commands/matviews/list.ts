import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {outputFlag} from '../../cli/flags.ts'
import {listMatviews} from '../../core/matviews.ts'
import {parseIdentifier} from '../../lib/identifier.ts'
import type {ListedRegistration} from '../../lib/records.ts'

export default class MatviewsList extends BaseCommand {
  static override summary = 'List the registered views: mode, last refresh, next run.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --schema reports --json',
  ]
  static override flags = {
    output: outputFlag(),
    schema: Flags.string({summary: 'List only the views of this schema.', helpValue: '<name>'}),
  }

  async run(): Promise<ListedRegistration[]> {
    const {flags} = await this.parse(MatviewsList)
    const schema = flags.schema === undefined ? null : parseIdentifier(flags.schema, 'schema name')
    const registrations = await this.withDatabase(flags, (db) =>
      listMatviews(db, schema, (warning) => this.addWarning(warning)),
    )
    await this.show(async (context) => {
      const {renderRegistrations} = await import('../../render/registrations.ts')
      return renderRegistrations(registrations, context, {schema})
    }, flags)
    return registrations
  }
}
