import type {ViewStatus} from '../../src/lib/records/freshness.ts'
import {printAlerts} from './alerts.ts'
import {checkEqual} from './check.ts'
import {VIEW} from './data.ts'
import {say} from './print.ts'
import type {Stage, Step} from './stage.ts'

const PROMISED = 'leaderboard_in_time'

/** The part of the story in which a view is older than promised, and everybody can see it. */
export const BROKEN_PROMISE_STEPS: readonly Step[] = [
  {title: 'A promise is broken while no worker runs', play: breakPromise},
]

async function breakPromise({shell}: Stage): Promise<void> {
  say('A schedule promises that the leaderboard is never older than two seconds, but no worker is left:')
  await shell.run(['schedules', 'create', '--name', PROMISED, '--max-age', '2s', '--view', VIEW])
  // The promise of the view itself would come first.
  await shell.run(['matviews', 'update', VIEW, '--max-age', 'none'])
  await untilStale(shell)
  say('A script sees that by the exit code, which is 9:')
  await shell.run(['matviews', 'status', '--exit-code'], {exitCode: 9})
  say('Prometheus sees it, too, once it has the rules of ayb metrics rules. It would say:')
  await printAlerts(shell, VIEW, ['AybViewStale', 'AybNoWorker'])
  await shell.run(['schedules', 'delete', PROMISED])
}

async function untilStale(shell: Stage['shell']): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const [status] = await shell.json<ViewStatus[]>(['matviews', 'status', VIEW])
    if (status?.state === 'stale' || Date.now() > deadline) {
      checkEqual(
        {state: status?.state, maxAgeMs: status?.maxAgeMs},
        {state: 'stale', maxAgeMs: 2000},
        'the view',
      )
      return
    }
  }
}
