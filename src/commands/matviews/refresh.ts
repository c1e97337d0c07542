import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {durationFlag, lockFlag, modeFlag, timeoutFlag, viewArg} from '../../cli/flags.ts'
import {refresh} from '../../core/refresh/by-hand.ts'
import {refreshSettings} from '../../core/refresh/request.ts'
import type {Refreshed} from '../../lib/records.ts'
import {warningIn} from '../../lib/refresh-events.ts'
import {watchRefresh} from '../../render/refresh-progress.ts'

export default class MatviewsRefresh extends BaseCommand {
  static override summary = 'Refresh a registered view now, and record how it went.'
  static override description =
    `One refresh of a view runs at a time, whoever starts it: a second one is refused (exit 5), or waits with --wait. Without --timeout it takes as long as it takes. Ctrl-C cancels it on the server.

Whoever reads the view later waits behind a standard refresh that waits for its lock. So ayb waits in short tries with pauses between them, for ten minutes in all: --lock-retry-for changes that time, --lock-timeout gives up after one try of that length. A concurrent refresh lets readers pass, and waits.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> public.leaderboard',
    '<%= config.bin %> <%= command.id %> 550e8400-e29b-41d4-a716-446655440000',
    '<%= config.bin %> <%= command.id %> public.leaderboard --mode concurrent --timeout 10m',
    '<%= config.bin %> <%= command.id %> public.leaderboard --wait-timeout 5m --lock-timeout 2s',
  ]
  static override args = {view: viewArg({required: true})}
  static override flags = {
    mode: modeFlag({summary: 'The mode for this once; the registration keeps its own.'}),
    wait: Flags.boolean({summary: 'Wait while another session refreshes the view.'}),
    'wait-timeout': durationFlag({summary: 'Wait that long at the most; implies --wait.'}),
    timeout: timeoutFlag({summary: 'Cancel the refresh when it takes longer.'}),
    'lock-timeout': lockFlag({
      summary: 'Give up when a lock cannot be had for that long; 0 waits as long as it takes.',
    }),
    'lock-retry-for': lockFlag({
      summary:
        'For how long to try again to lock the view; 0 never. Default: 10m, and never with --lock-timeout.',
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
