import type {ViewGraph} from '../../src/lib/records/graph.ts'
import type {RefreshedSet} from '../../src/lib/records/refreshes.ts'
import type {RegisteredViews} from '../../src/lib/records/registrations.ts'
import {checkEqual} from './check.ts'
import {logWorkouts, nameAt, type Standing, topOfTables, topOfView, VIEW} from './data.ts'
import {say} from './print.ts'
import type {Stage, Step} from './stage.ts'

const CREATE_TOP_HUNDRED = `create materialized view top_hundred as
  select name, total_minutes from leaderboard order by total_minutes desc limit 100;`
const CREATE_PODIUM = `create materialized view podium as
  select name, total_minutes from top_hundred order by total_minutes desc limit 3;`

const PODIUM = 'public.podium'
const TOP_OF_PODIUM = 'select name, total_minutes from podium;'

/** The part of the story with views that read other views. It leaves nothing behind but history. */
export const CHAIN_STEPS: readonly Step[] = [
  {title: 'Views that read other views', play: showGraph},
  {title: 'Refresh them in the right order', play: refreshInOrder},
]

async function showGraph({shell, owner}: Stage): Promise<void> {
  say('The best hundred are a view of the leaderboard, and the podium is a view of the best hundred.')
  await owner.show(CREATE_TOP_HUNDRED)
  await owner.show(CREATE_PODIUM)
  await shell.run(['matviews', 'register', '--all'])
  const {existing} = await shell.json<RegisteredViews>(['matviews', 'register', '--all'])
  checkEqual(existing.length, 3, 'registered views')
  say('Postgres knows which view reads which:')
  await shell.run(['matviews', 'graph'])
  const {edges} = await shell.json<ViewGraph>(['matviews', 'graph'])
  checkEqual(
    edges.map(({parent, child}) => `${parent.viewName} > ${child.viewName}`).sort(),
    ['leaderboard > top_hundred', 'top_hundred > podium'],
    'which view reads which',
  )
}

async function refreshInOrder({shell, owner}: Stage): Promise<void> {
  const second = nameAt(await owner.query<Standing>(topOfView(3)), 2)
  say(
    `${second} takes the lead. The leaderboard is refreshed, then the podium. ayb warns: the podium reads the ` +
      'best hundred, and these are older than the leaderboard.',
  )
  await owner.show(logWorkouts(second))
  await shell.run(['matviews', 'refresh', VIEW])
  await shell.run(['matviews', 'refresh', PODIUM], {prints: 'public.podium may hold old data'})
  say('A cascade refreshes a view and all that read it, each view after what it reads:')
  await shell.run(['matviews', 'refresh', VIEW, '--cascade'])
  const [leader] = await owner.show<Pick<Standing, 'name' | 'total_minutes'>>(TOP_OF_PODIUM)
  const [actual] = await owner.query<Standing>(topOfTables(1))
  checkEqual(leader?.name, actual?.name, 'who leads on the podium')
  const set = await shell.json<RefreshedSet>(['matviews', 'refresh', PODIUM, '--with-dependencies'])
  checkEqual(
    set.refreshes.map(({registration, status}) => `${registration.viewName} ${status}`),
    ['leaderboard success', 'top_hundred success', 'podium success'],
    'the same from the other end',
  )
  say('The story goes on without the two views.')
  await owner.show('drop materialized view podium, top_hundred;')
  await shell.run(['matviews', 'unregister', '--missing'])
}
