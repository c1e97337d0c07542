import type {Diagnosis} from '../../src/lib/records/diagnosis.ts'
import type {ViewStatus} from '../../src/lib/records/freshness.ts'
import type {Run} from '../../src/lib/records/runs.ts'
import {printAlerts} from './alerts.ts'
import {check, checkEqual} from './check.ts'
import {say} from './print.ts'
import type {Stage, Step} from './stage.ts'

const PRICES = 'public.prices'
const REPORT = 'public.report'
const USUAL_RUNS = 6

/** The part of the story in which somebody is on call. It leaves nothing behind. */
export const ON_CALL_STEPS: readonly Step[] = [
  {title: 'On call: a refresh that fails every night', play: findFailing},
  {title: 'On call: a refresh that is much slower than usual', play: findSlow},
]

async function findFailing({shell, owner}: Stage): Promise<void> {
  say('A view divides by a rate. One day somebody sets the rate to 0:')
  await owner.query(`create table rates as select 4 as rate;
    create materialized view prices as select 100 / rate as price from rates`)
  await shell.run(['matviews', 'register', PRICES])
  await shell.run(['refresh', PRICES])
  await owner.show('update rates set rate = 0;')
  for (let night = 1; night <= 2; night++) await shell.run(['refresh', PRICES], {exitCode: 1})
  say('Readers still see the old price. What is not as wanted, and why?')
  await shell.run(['status', PRICES])
  await shell.run(['matviews', 'history', PRICES])
  const [lastRun] = await shell.json<Run[]>(['matviews', 'history', PRICES])
  check(lastRun?.error?.includes('division by zero') === true, 'the history says why the refresh fails')
  const [status] = await shell.json<ViewStatus[]>(['matviews', 'status', PRICES])
  checkEqual(
    {state: status?.state, times: status?.consecutiveFailures},
    {state: 'failing', times: 2},
    'the view',
  )
  say('Prometheus says it, too:')
  await printAlerts(shell, PRICES, ['AybViewFailing'])
  await shell.run(['matviews', 'unregister', PRICES])
  await owner.query('drop materialized view prices; drop table rates')
}

async function findSlow({shell, owner}: Stage): Promise<void> {
  say('A report takes a moment each time, until it suddenly takes more than a second:')
  await owner.query(`create table naps as select 0.01::float8 as seconds;
    create materialized view report as select count(pg_sleep(seconds)) as naps from naps`)
  await shell.run(['matviews', 'register', REPORT])
  for (let times = 1; times <= USUAL_RUNS; times++) await shell.json(['refresh', REPORT])
  await owner.query('update naps set seconds = 1.2')
  await shell.run(['refresh', REPORT])
  await shell.run(['matviews', 'history', REPORT, '--limit', '3'])
  await shell.run(['doctor', REPORT])
  const {findings} = await shell.json<Diagnosis>(['doctor', REPORT])
  checkEqual(
    findings.some(({check}) => check === 'slow-refresh'),
    true,
    'whether the doctor has found it',
  )
  say('Prometheus knows what is usual, too:')
  await printAlerts(shell, REPORT, ['AybViewSlow'])
  await shell.run(['matviews', 'unregister', REPORT])
  await owner.query('drop materialized view report; drop table naps')
}
