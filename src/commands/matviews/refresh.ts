import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {durationFlag, lockFlag, modeFlag, timeoutFlag, viewArg} from '../../cli/flags.ts'
import {refresh} from '../../core/refresh/by-hand.ts'
import {refreshSettings} from '../../core/refresh/request.ts'
import type {Refreshed} from '../../lib/records.ts'
import {warningIn} from '../../lib/refresh-events.ts'
import {watchRefresh} from '../../render/refresh-progress.ts'

export default class MatviewsRefresh extends BaseCommand {
  static override summary = 'Refresh a registered view now and record the result.'
  static override description =
    `Only one session refreshes a view at a time. While another session refreshes the view, the command fails with exit code 5, or waits with --wait. Without --timeout there is no time limit. Ctrl-C cancels the refresh on the server.

While a standard refresh waits for its lock, everybody who wants to read the view waits behind the refresh. So ayb waits in short tries, with pauses in which others can read, for ten minutes in all. --lock-retry-for changes the ten minutes; --lock-timeout gives up after one try of that length. A concurrent refresh does not block readers, so ayb waits without pauses.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard',
    '<%= config.bin %> <%= command.id %> 550e8400-e29b-41d4-a716-446655440000',
    '<%= config.bin %> <%= command.id %> public.leaderboard --mode concurrent --timeout 10m',
    '<%= config.bin %> <%= command.id %> public.leaderboard --wait-timeout 5m --lock-timeout 2s',
  ]
  static override args = {view: viewArg({required: true})}
  static override flags = {
    mode: modeFlag({summary: 'The mode of this refresh. The registration keeps its own mode.'}),
    wait: Flags.boolean({summary: 'Wait while another session refreshes the view.'}),
    'wait-timeout': durationFlag({summary: 'Wait at most this long. Implies --wait.'}),
    timeout: timeoutFlag({summary: 'Cancel the refresh if it takes longer than this.'}),
    'lock-timeout': lockFlag({
      summary: 'Give up if a lock is not free within this time; 0 waits without limit.',
    }),
    'lock-retry-for': lockFlag({
      summary:
        'How long to keep trying to lock the view; 0 tries once. Default: 10m, or 0 with --lock-timeout.',
    }),
  }

  async run(): Promise<Refreshed> {
    const {args, flags} = await this.parse(MatviewsRefresh)
    const waitTimeoutMs = flags['wait-timeout'] ?? null
    const progress = watchRefresh(process.stderr, process.env, this.jsonEnabled())
    try {
      const refreshed = await this.withOwnCancellation(flags, (db) =>
        refresh(db, args.view, {
          mode: flags.mode ?? null,
          wait: flags.wait || waitTimeoutMs !== null ? {timeoutMs: waitTimeoutMs} : null,
          settings: refreshSettings({
            timeoutMs: flags.timeout,
            lockTimeoutMs: flags['lock-timeout'],
            lockRetryForMs: flags['lock-retry-for'],
          }),
          signal: this.signal,
          onEvent: (event, registration) => {
            progress.update(event, registration)
            const warning = warningIn(event)
            if (warning !== null) this.addWarning(warning)
          },
        }),
      )
      progress.stop()
      await this.show(async (context) => {
        const {renderRefreshed} = await import('../../render/registrations.ts')
        return renderRefreshed(refreshed, context)
      })
      return refreshed
    } finally {
      progress.stop()
    }
  }
}
