import {BaseCommand} from '../../cli/base-command.ts'
import {viewArg} from '../../cli/flags.ts'
import {commandLineView} from '../../cli/remedies.ts'
import {show} from '../../core/matviews.ts'
import type {RegistrationDetails} from '../../lib/records/registrations.ts'

export default class MatviewsShow extends BaseCommand {
  static override summary = 'Show one registered view: state, size, schedules, last runs.'
  static override examples = ['<%= config.bin %> <%= command.id %> public.leaderboard']
  static override args = {view: viewArg({required: true})}

  async run(): Promise<RegistrationDetails> {
    const {args, flags} = await this.parse(MatviewsShow)
    const shown = await this.withDatabase(flags, (db) => show(db, args.view))
    const details = {...shown, view: shown.view && commandLineView(shown.view)}
    await this.show(async (context) => {
      const {renderRegistrationDetails} = await import('../../render/registration-details.ts')
      return renderRegistrationDetails(details, context)
    })
    return details
  }
}
