import {BaseCommand} from '../../cli/base-command.ts'
import {viewArg, viewNameArg} from '../../cli/flags.ts'
import {relink} from '../../core/relink.ts'
import type {Relinked} from '../../lib/records/registrations.ts'

export default class MatviewsRelink extends BaseCommand {
  static override summary = 'Follow a view that was renamed or moved to another schema.'
  static override description =
    'Moves the registration to the new name, with its schedules, its history, and its queued and failed jobs. A job that a worker is running stays as it is. If the new name belongs to a different view, ayb moves the registration and prints a warning.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard public.top_athletes',
    '<%= config.bin %> <%= command.id %> leaderboard reports.leaderboard',
  ]
  static override args = {
    old: viewArg({
      required: true,
      description:
        'The registration: its id or its current name, as schema.view or as a view in schema public.',
    }),
    new: viewNameArg({
      required: true,
      description: 'The new name of the view: schema.view, or a view in schema public.',
    }),
  }

  async run(): Promise<Relinked> {
    const {args, flags} = await this.parse(MatviewsRelink)
    const relinked = await this.withDatabase(flags, (db) => relink(db, args.old, args.new))
    await this.show(async () => {
      const {renderRelinked} = await import('../../render/registrations.ts')
      return renderRelinked(relinked)
    })
    return relinked
  }
}
