import type {Refreshed} from '../../src/lib/records/refreshes.ts'
import {checkEqual} from './check.ts'
import {logWorkouts, nameAt, type Standing, topOfTables, topOfView, VIEW} from './data.ts'
import {say} from './print.ts'
import type {Shell} from './shell.ts'
import type {Stage, Step} from './stage.ts'

/** The part of the story with refreshes that are not needed. It leaves nothing behind but history. */
export const CHANGE_STEPS: readonly Step[] = [
  {title: 'Nothing has changed', play: skip},
  {title: 'Something has changed', play: notice},
]

const TELL = 'select pg_stat_force_next_flush();'

async function skip({shell, owner}: Stage): Promise<void> {
  say(
    'Most refreshes find nothing new. With --if-changed, ayb looks whether anything below the view has changed ' +
      'since its last refresh: at counters that Postgres keeps anyway, without triggers. The first time there is ' +
      'nothing to compare with:',
  )
  await owner.query(TELL)
  await shell.run(['matviews', 'refresh', VIEW, '--if-changed'])
  const before = await runs(shell)
  say(
    'From then on a look takes milliseconds. Changes can show ten seconds late, so ayb would look twice before ' +
      'it says that; here nobody writes, and one look will do:',
  )
  const look = ['matviews', 'refresh', VIEW, '--if-changed', '--no-second-look']
  await shell.run(look, {prints: 'unchanged: nothing has changed since'})
  checkEqual((await shell.json<Refreshed>(look)).status, 'unchanged', 'the status')
  checkEqual(await runs(shell), before, 'refreshes in the history')
}

async function notice({shell, owner}: Stage): Promise<void> {
  const third = nameAt(await owner.query<Standing>(topOfView(3)), 3)
  say(`${third} trains again. A session that asks Postgres to count its changes at once is seen at once.`)
  await owner.show(logWorkouts(third))
  await owner.show(TELL)
  await shell.run(['matviews', 'refresh', VIEW, '--if-changed'], {prints: 'Refreshed'})
  checkEqual(
    await owner.query<Standing>(topOfView(3)),
    await owner.query<Standing>(topOfTables(3)),
    'the refreshed view',
  )
}

const runs = async (shell: Shell): Promise<number> =>
  (await shell.json<object[]>(['matviews', 'history', VIEW, '--limit', '100'])).length
