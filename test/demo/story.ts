import type {ListedRegistration, RegistrationDetails} from '../../src/lib/records/registrations.ts'
import type {Run} from '../../src/lib/records/runs.ts'
import type {View} from '../../src/lib/records/views.ts'
import {ADVICE_STEPS} from './advice.ts'
import {BROKEN_PROMISE_STEPS} from './broken-promise.ts'
import {CHAIN_STEPS} from './chain.ts'
import {CHANGE_STEPS} from './changes.ts'
import {check, checkEqual} from './check.ts'
import {
  CREATE_TABLES,
  CREATE_VIEW,
  logWorkouts,
  nameAt,
  type Standing,
  topOfTables,
  topOfView,
  USER_COUNT,
  VIEW,
  WORKOUT_COUNT,
} from './data.ts'
import {withHeldRefresh} from './held-refresh.ts'
import {NOTICE_STEPS} from './notices.ts'
import {ON_CALL_STEPS} from './on-call.ts'
import {say} from './print.ts'
import {HOURLY, LIVE, SCHEDULE_STEPS} from './schedules.ts'
import type {Shell} from './shell.ts'
import type {Stage, Step} from './stage.ts'

/** What happens, in this order; each step builds on what the ones before it have left in the database. */
export const STORY: readonly Step[] = [
  {title: 'A fitness app with a leaderboard', play: createData},
  {title: 'Which materialized views are there?', play: discover},
  {title: 'Put the leaderboard under ayb', play: register},
  {title: 'Refresh it', play: refresh},
  {title: 'New workouts arrive', play: logNewWorkouts},
  {title: 'Refresh again', play: refreshAgain},
  {title: 'Concurrent mode needs a unique index', play: switchToConcurrent},
  {title: 'A reader in the way of a standard refresh', play: runIntoReader},
  {title: 'A concurrent refresh and the same reader', play: refreshUnderReader},
  {title: 'Two refreshes at once', play: refreshTwice},
  {title: 'What has happened so far', play: showHistory},
  ...CHAIN_STEPS,
  ...CHANGE_STEPS,
  ...SCHEDULE_STEPS,
  ...BROKEN_PROMISE_STEPS,
  ...NOTICE_STEPS,
  ...ON_CALL_STEPS,
  ...ADVICE_STEPS,
  {title: 'A slip of the finger', play: misspell},
  {title: 'Take it off the list', play: unregister},
]

async function createData({owner}: Stage): Promise<void> {
  say(
    `A new database gets ${formatted(USER_COUNT)} users and ${formatted(WORKOUT_COUNT)} workouts. ` +
      'Who trained most is asked all the time, so the answer is kept in a materialized view.',
  )
  await owner.query(CREATE_TABLES)
  const [counts] = await owner.show<{users: string; workouts: string}>(
    `select (select count(*) from users) as users,
  (select count(*) from workouts) as workouts;`,
  )
  checkEqual(counts, {users: String(USER_COUNT), workouts: String(WORKOUT_COUNT)}, 'rows in the tables')
  await owner.show(CREATE_VIEW)
}

async function discover({shell}: Stage): Promise<void> {
  say('ayb finds the view, says what is known of it, and leaves no trace.')
  await shell.run(['matviews', 'discover'])
  const [view, ...others] = await shell.json<View[]>(['matviews', 'discover'])
  checkEqual(others.length, 0, 'views beside the leaderboard')
  const {viewName, populated, registered, concurrentReady} = view ?? {}
  checkEqual(
    {viewName, populated, registered, concurrentReady},
    {viewName: 'leaderboard', populated: true, registered: false, concurrentReady: false},
    'the leaderboard as discovered',
  )
}

async function register({shell}: Stage): Promise<void> {
  say('Once registered, refreshes of the view are recorded, and its mode is kept.')
  await shell.run([
    ...['matviews', 'register'],
    ...['--view', 'leaderboard', '--schema', 'public', '--mode', 'standard'],
  ])
  await shell.run(['matviews', 'list'])
  const list = await shell.json<ListedRegistration[]>(['matviews', 'list'])
  checkEqual(
    list.map(({viewName, refreshMode, lastRefreshAt}) => ({viewName, refreshMode, lastRefreshAt})),
    [{viewName: 'leaderboard', refreshMode: 'standard', lastRefreshAt: null}],
    'registrations',
  )
}

async function refresh({shell, owner}: Stage): Promise<void> {
  say('The first refresh under ayb, and the top of the board:')
  await shell.run(['matviews', 'refresh', VIEW])
  const {registration} = await show(shell)
  checkEqual(registration.lastRefreshStatus, 'success', 'the last refresh')
  const top = await owner.show<Standing>(topOfView(5))
  checkEqual(top.length, 5, 'rows at the top')
}

async function logNewWorkouts({owner}: Stage): Promise<void> {
  const before = await owner.query<Standing>(topOfView(3))
  const third = nameAt(before, 3)
  say(`${third}, third so far, adds a month on the bike.`)
  await owner.show(logWorkouts(third))
  say('The view knows nothing of it: it is stale until somebody refreshes it.')
  checkEqual(await owner.show<Standing>(topOfView(3)), before, 'the stale view')
  say('The tables know:')
  const actual = await owner.show<Standing>(topOfTables(3))
  checkEqual(nameAt(actual, 1), third, 'who leads in the tables')
}

async function refreshAgain({shell, owner}: Stage): Promise<void> {
  say('One command later, the view agrees with the tables.')
  await shell.run(['matviews', 'refresh', VIEW])
  const top = await owner.show<Standing>(topOfView(3))
  checkEqual(top, await owner.query<Standing>(topOfTables(3)), 'the refreshed view')
}

async function switchToConcurrent({shell, owner}: Stage): Promise<void> {
  say(
    'A standard refresh locks readers out while it runs. A concurrent one does not, but it has to tell ' +
      'rows apart. ayb says so, and what would help:',
  )
  const update = ['matviews', 'update', VIEW, '--mode', 'concurrent']
  await shell.run(update, {exitCode: 4})
  const {error} = await shell.json<ErrorDocument>(update, {exitCode: 4})
  checkEqual(error.code, 'UNIQUE_INDEX_REQUIRED', 'the error code')
  check(error.hint?.startsWith('CREATE UNIQUE INDEX') === true, 'the hint is a statement')
  say('The hint can be pasted as it is:')
  await owner.show(error.hint)
  await shell.run(update)
  const {registration, view} = await show(shell)
  checkEqual(registration.refreshMode, 'concurrent', 'the refresh mode')
  checkEqual(view?.concurrentReady, true, 'whether the view is ready for concurrent refreshes')
}

async function runIntoReader({shell, openSession}: Stage): Promise<void> {
  say('A dashboard reads the view in a transaction, and leaves it open.')
  const dashboard = await openSession('dashboard')
  await dashboard.show('begin;')
  await dashboard.show(topOfView(3))
  say(
    'A standard refresh would wait for it, and whoever comes next would wait for the refresh. A lock ' +
      'timeout ends that, and names the session in the way:',
  )
  await shell.run([...['matviews', 'refresh', VIEW], '--mode', 'standard', '--lock-timeout', '5s'], {
    exitCode: 8,
  })
  const {registration} = await show(shell)
  const [reader] = await dashboard.query<{pid: number}>('select pg_backend_pid() as pid')
  const message = registration.lastRefreshError ?? ''
  check(
    message.includes(`pid ${reader?.pid} `) && message.includes('dashboard'),
    `the recorded error names the dashboard, pid ${reader?.pid}: ${message}`,
  )
  await dashboard.show('commit;')
  await dashboard.close()
}

async function refreshUnderReader(stage: Stage): Promise<void> {
  const {owner, openSession} = stage
  const before = await owner.query<Standing>(topOfView(3))
  const second = nameAt(before, 2)
  say(`Now ${second} catches up, and the dashboard is in a transaction again.`)
  await owner.show(logWorkouts(second))
  const dashboard = await openSession('dashboard')
  await dashboard.show('begin;')
  checkEqual(await dashboard.show<Standing>(topOfView(3)), before, 'what the dashboard read')
  say(
    'To catch a refresh in the act, an import locks the table that the view is made from: the refresh has ' +
      'begun, holds its locks, and waits halfway.',
  )
  await withHeldRefresh(stage, async () => {
    say('Meanwhile the dashboard reads on, without waiting:')
    checkEqual(await dashboard.show<Standing>(topOfView(3)), before, 'what the dashboard reads meanwhile')
    say('The import is done, and so is the refresh, with the dashboard still in its transaction:')
  })
  const [state] = await dashboard.query<{isOpen: boolean}>(
    `select exists (select from pg_locks
                     where pid = pg_backend_pid() and relation = 'leaderboard'::regclass) as "isOpen"`,
  )
  checkEqual(state?.isOpen, true, 'whether the dashboard held the view throughout')
  const after = await dashboard.show<Standing>(topOfView(3))
  checkEqual(nameAt(after, 1), second, 'who leads after the concurrent refresh')
  await dashboard.show('commit;')
  await dashboard.close()
}

async function refreshTwice(stage: Stage): Promise<void> {
  const {shell} = stage
  say('However many terminals, scripts and workers there are: one refresh of a view runs at a time.')
  const before = await runs(shell)
  await withHeldRefresh(stage, async () => {
    say('The first has the lock. The second is refused, and told who has it:')
    await shell.run(['matviews', 'refresh', VIEW], {exitCode: 5})
    say('The first one is none the worse for it:')
  })
  const after = await runs(shell)
  checkEqual(after.length - before.length, 1, 'runs recorded of the two')
  checkEqual(after[0]?.status, 'success', 'the run that won')
}

async function showHistory({shell}: Stage): Promise<void> {
  say('Every attempt was recorded, the failed one with its reason. Newest first:')
  await shell.run(['matviews', 'history', VIEW])
  checkEqual(
    (await runs(shell)).map(({refreshMode, status}) => `${refreshMode} ${status}`),
    ['concurrent success', 'concurrent success', 'standard error', 'standard success', 'standard success'],
    'the history',
  )
}

async function misspell({shell}: Stage): Promise<void> {
  say('A view that is not there gets no registration, but a guess at what was meant.')
  const registerTypo = ['matviews', 'register', 'leaderbord']
  await shell.run(registerTypo, {exitCode: 3})
  const {error} = await shell.json<ErrorDocument>(registerTypo, {exitCode: 3})
  checkEqual(error.code, 'VIEW_NOT_FOUND', 'the error code')
  checkEqual(error.hint, `did you mean ${VIEW}?`, 'the hint')
}

async function unregister({shell, owner}: Stage): Promise<void> {
  say(
    'Every command takes the id of a registration, too. Here ayb warns: a schedule that is still enabled ' +
      'would put the view back on the list.',
  )
  const {registration} = await show(shell)
  await shell.run(['matviews', 'unregister', registration.id], {prints: `the schedule ${HOURLY} is enabled`})
  say('So the schedules go too. The view itself stays where it is.')
  await shell.run(['schedules', 'delete', HOURLY])
  await shell.run(['schedules', 'delete', LIVE])
  checkEqual(await shell.json(['schedules', 'list']), [], 'schedules that are left')
  checkEqual(await shell.json(['matviews', 'list']), [], 'registrations that are left')
  const rows = await owner.show<{count: string}>('select count(*) from leaderboard;')
  checkEqual(rows, [{count: String(USER_COUNT)}], 'rows of the view')
}

/** What --json prints where a command fails. */
interface ErrorDocument {
  error: {code: string; hint: string | null}
}

const show = (shell: Shell) => shell.json<RegistrationDetails>(['matviews', 'show', VIEW])

const formatted = (count: number): string => count.toLocaleString('en')

const runs = (shell: Shell) => shell.json<Run[]>(['matviews', 'history', VIEW])
