import type {Notice} from '../../src/lib/records/notices.ts'
import {type Receiver, startReceiver} from '../support/receiver.ts'
import {checkEqual} from './check.ts'
import {VIEW} from './data.ts'
import {printRemark, say} from './print.ts'
import type {Stage, Step} from './stage.ts'

/** The part of the story in which somebody is told. */
export const NOTICE_STEPS: readonly Step[] = [{title: 'Who is told when a promise is broken?', play: tell}]

async function tell({shell}: Stage): Promise<void> {
  say('Somebody listens at an address, for what the workers have to tell. Does a message arrive?')
  const receiver = await startReceiver()
  shell.export('AYB_NOTIFY_URL', receiver.url)
  await shell.run(['notify', 'test'])
  checkEqual(newest(receiver).type, 'notify.test', 'the first message')
  say('The leaderboard may be a millisecond old at most, which is a promise that nobody can keep:')
  await shell.run(['matviews', 'update', VIEW, '--max-age', '1ms'])
  await shell.run(['worker', '--once', '--log-format', 'pretty'])
  const {type, data} = newest(receiver)
  printRemark(`received: ${type} ${data.schemaName}.${data.viewName}, stale since ${data.since}`)
  checkEqual({type, view: data.viewName}, {type: 'view.stale', view: 'leaderboard'}, 'the notice')
  say('A promise of three hours is easier to keep, and the listener hears of that, too:')
  await shell.run(['matviews', 'update', VIEW, '--max-age', '3h'])
  await shell.run(['worker', '--once', '--log-format', 'pretty'])
  checkEqual(newest(receiver).type, 'view.recovered', 'the last notice')
  checkEqual(receiver.received.length, 3, 'messages')
  shell.unset('AYB_NOTIFY_URL')
}

const newest = (receiver: Receiver): Notice => receiver.notices().at(-1) as Notice
