import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {settingFlag, timeoutFlag, viewArg} from '../../cli/flags.ts'
import {tune} from '../../core/tune/tune.ts'
import {printable} from '../../lib/printable.ts'
import type {Tuning} from '../../lib/records/tuning.ts'

export default class MatviewsTune extends BaseCommand {
  static override summary = 'Refresh a view with several settings, and show which are fastest.'
  static override description =
    'Tries the present settings of the view, then other settings, and both modes if the view can be refreshed concurrently. The candidates take turns. Each refresh is a real refresh, and is in the history: in standard mode, readers wait while it runs. The figures for WAL and temporary files are about the whole server and database, so run this while little else runs. A candidate wins only if its times are clearly shorter. Nothing is changed without --apply; Ctrl-C leaves everything as it was.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard',
    '<%= config.bin %> <%= command.id %> public.leaderboard --try work_mem=256MB --apply',
  ]
  static override args = {view: viewArg({required: true})}
  static override flags = {
    rounds: Flags.integer({
      summary: 'How many times to refresh in each way.',
      default: 3,
      min: 2,
      max: 100,
      helpValue: '<n>',
    }),
    try: settingFlag({
      multiple: true,
      summary:
        'A setting to try. Can be repeated. Default: work_mem=64MB, work_mem=256MB and jit=off, each by itself.',
    }),
    budget: timeoutFlag({summary: 'Stop after this time, and compare what was measured. Default: 30m.'}),
    apply: Flags.boolean({default: false, summary: 'Refresh the view like the winner from now on.'}),
  }

  async run(): Promise<Tuning> {
    const {args, flags} = await this.parse(MatviewsTune)
    const {renderTuning, settingsOf, verdict} = await import('../../render/tuning.ts')
    const tuned = await this.withOwnCancellation(flags, (db) =>
      tune(db, args.view, {
        rounds: flags.rounds,
        tries: flags.try ?? [],
        budgetMs: flags.budget ?? 30 * 60_000,
        isApplied: flags.apply,
        signal: this.signal,
        onRefresh: ({candidate, round}) =>
          this.printBeside(() =>
            printable(
              `round ${round} of ${flags.rounds}: ${candidate.mode} ${settingsOf(candidate)}`.trimEnd(),
            ),
          ),
        describeError: (error) => this.describeFailure(error),
      }),
    )
    await this.show((context) => renderTuning(tuned, context.terminal))
    if (!process.stdout.isTTY) this.printBeside(() => verdict(tuned))
    return tuned
  }
}
