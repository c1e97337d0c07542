import type {ViewStatus} from '../../src/lib/records/freshness.ts'
import type {Job, JobDocument} from '../../src/lib/records/jobs.ts'
import type {Run} from '../../src/lib/records/runs.ts'
import type {ListedSchedule, NextRuns} from '../../src/lib/records/schedules.ts'
import type {LiveWorker} from '../../src/lib/records/workers.ts'
import {check, checkEqual} from './check.ts'
import {logWorkouts, nameAt, type Standing, topOfTables, topOfView, VIEW} from './data.ts'
import {findHeldRefresh} from './held-refresh.ts'
import {printRemark, say} from './print.ts'
import type {SqlSession} from './session.ts'
import type {Stage, Step} from './stage.ts'

export const HOURLY = 'leaderboard_hourly'
export const LIVE = 'leaderboard_live'
const PROMISED = 'leaderboard_promised'

/** Far below the minute after which the worker would look by itself. */
const AT_ONCE_MS = 15_000

/** The part of the story in which nobody types refresh any more. */
export const SCHEDULE_STEPS: readonly Step[] = [
  {title: 'When would a schedule run?', play: previewRuns},
  {title: 'Put the leaderboard on a schedule', play: createSchedules},
  {title: 'A worker keeps it fresh', play: keepFresh},
  {title: 'Not at the full hour, but now', play: runNow},
  {title: 'What is planned, and what was done', play: listWork},
  {title: 'A promise in place of times', play: keepPromise},
  {title: 'How fresh is it, and who is at work?', play: tellFreshness},
  {title: 'A worker is killed in mid-refresh', play: killInMidRefresh},
  {title: 'Stop the worker in good order', play: stop},
]

async function previewRuns({shell}: Stage): Promise<void> {
  say(
    'Half past two on every Sunday of March, in Berlin. On the last one, clocks go from two to three, and ' +
      'there is no half past two: the run comes right after the gap, at 01:00 in UTC.',
  )
  const next = ['schedules', 'next', '30 2 * 3 0', '--timezone', 'Europe/Berlin']
  await shell.run(next)
  const {runs} = await shell.json<NextRuns>(next)
  checkEqual(runs.length, 5, 'runs')
  // Of five such Sundays in a row, one is the last of its month.
  check(runs.some(isLastSunday), 'clocks change at one of the runs')
  for (const run of runs) {
    checkEqual(run.slice(11, 16), isLastSunday(run) ? '01:00' : '01:30', `the time of ${run}`)
  }
  say('Every four hours, but not while people work: what is due then runs once, when they go home.')
  const outside = ['schedules', 'next', '0 */4 * * *', '--not-during', '08:00-18:30']
  await shell.run(outside)
  const times = new Set((await shell.json<NextRuns>(outside)).runs.map((run) => run.slice(11, 16)))
  checkEqual([...times].sort(), ['00:00', '04:00', '18:30', '20:00'], 'times of the day')
}

/** Of a Sunday in March, as ISO 8601. */
const isLastSunday = (sunday: string): boolean => Number(sunday.slice(8, 10)) > 31 - 7

async function createSchedules({shell, owner}: Stage): Promise<void> {
  say('Every full hour, as one would in earnest:')
  await shell.run([
    ...['schedules', 'create', '--name', HOURLY, '--job-type', 'materialized_view_refresh'],
    ...['--cron', '0 * * * *', '--payload', '{"schema": "public", "view_name": "leaderboard"}'],
  ])
  say('And every other second, for those who watch: with six fields, the first is that of the seconds.')
  await shell.run(['schedules', 'create', '--name', LIVE, '--cron', '*/2 * * * * *', '--view', VIEW])
  const rows = await owner.query<{name: string; payload: unknown; enabled: boolean}>(
    'select name, payload, enabled from _ayb_job_schedules order by name',
  )
  const payload = {schema: 'public', view_name: 'leaderboard'}
  checkEqual(
    rows,
    [HOURLY, LIVE].map((name) => ({name, payload, enabled: true})),
    'schedules in the database',
  )
}

async function keepFresh({owner, workers}: Stage): Promise<void> {
  say(
    'A worker does what is due; as many as one likes may run. This one looks for news only once a minute: ' +
      'it knows when a schedule is due, and commands wake it.',
  )
  await workers.start('worker-1', ['--poll-interval', '1m'])
  await workers.waitForWord('worker-1', `refreshed ${VIEW}`)
  const second = nameAt(await owner.query<Standing>(topOfView(3)), 2)
  say(`${second} catches up once more, and nobody types refresh:`)
  await owner.show(logWorkouts(second))
  await workers.waitFor(
    async () => nameAt(await owner.query<Standing>(topOfView(1)), 1) === second,
    `${second} to lead in the view`,
  )
  const top = await owner.show<Standing>(topOfView(3))
  checkEqual(top, await owner.query<Standing>(topOfTables(3)), 'the view that refreshed itself')
}

async function runNow({shell, owner, workers}: Stage): Promise<void> {
  say('Enough of that: a schedule that is disabled stays, and does nothing.')
  await shell.run(['schedules', 'disable', LIVE])
  say('The other one is not due before the full hour. Whoever cannot wait has it run now:')
  const [clock] = await owner.query<{now: Date}>('select clock_timestamp() as now')
  await shell.run(['schedules', 'run', HOURLY])
  const job = await workers.waitFor(async () => {
    const jobs = await owner.query<{id: string; workerId: string; waitedMs: number}>(
      `select j.id, j.worker_id as "workerId",
              extract(epoch from j.last_run_at - j.created_at)::float8 * 1000 as "waitedMs"
         from _ayb_jobs j join _ayb_job_schedules s on s.id = j.schedule_id
        where s.name = $1 and j.state = 'completed' and j.created_at >= $2`,
      [HOURLY, clock?.now],
    )
    return jobs[0]
  }, `the run of ${HOURLY}`)
  check(job.waitedMs < AT_ONCE_MS, `the worker began at once, not after ${job.waitedMs} ms`)
  const history = await shell.json<Run[]>(['matviews', 'history', VIEW])
  checkEqual(
    history.filter(({jobId}) => jobId === job.id).map(({status, trigger}) => `${trigger} ${status}`),
    ['schedule success'],
    'the runs of the job',
  )
}

async function listWork({shell}: Stage): Promise<void> {
  say('Each due time has become one job. The newest come first:')
  await shell.run(['schedules', 'list'])
  await shell.run(['jobs', 'list', '--limit', '5'])
  const [schedules, jobs] = await Promise.all([
    shell.json<ListedSchedule[]>(['schedules', 'list']),
    shell.json<Job[]>(['jobs', 'list']),
  ])
  checkEqual(
    schedules.map(({name, enabled, lastRunStatus}) => ({name, enabled, lastRunStatus})),
    [
      {name: HOURLY, enabled: true, lastRunStatus: 'success'},
      {name: LIVE, enabled: false, lastRunStatus: 'success'},
    ],
    'schedules',
  )
  for (const {id, name} of schedules) {
    const ofIt = jobs.filter(({scheduleId}) => scheduleId === id)
    check(
      ofIt.some(({state}) => state === 'completed'),
      `a job of ${name} was completed`,
    )
    check(!ofIt.some(({state}) => state === 'failed'), `no job of ${name} failed`)
  }
}

async function keepPromise({shell, owner, workers}: Stage): Promise<void> {
  say(
    'Who reads the leaderboard does not care when it is refreshed, but how old it is. A schedule can promise ' +
      'that, and workers refresh the view early enough:',
  )
  await shell.run(['schedules', 'create', '--name', PROMISED, '--max-age', '5s', '--view', VIEW])
  const second = nameAt(await owner.query<Standing>(topOfView(3)), 2)
  await owner.show(logWorkouts(second))
  await workers.waitFor(
    async () => nameAt(await owner.query<Standing>(topOfView(1)), 1) === second,
    `${second} to lead in the view`,
  )
  say(`${second} leads, and nobody has said when to refresh.`)
  const isKept = async () => {
    const [status] = await shell.json<ViewStatus[]>(['matviews', 'status', VIEW])
    return status?.state === 'fresh' && status.maxAgeMs === 5000
  }
  await workers.waitFor(isKept, 'the view to be as fresh as promised')
  await shell.run(['matviews', 'status'])
  await shell.run(['schedules', 'delete', PROMISED])
}

async function tellFreshness({shell}: Stage): Promise<void> {
  say('Say how old the data may be, and ayb tells which views are not as fresh as that:')
  await shell.run(['matviews', 'update', VIEW, '--max-age', '3h'])
  await shell.run(['matviews', 'status', '--exit-code'])
  const [status] = await shell.json<ViewStatus[]>(['matviews', 'status', VIEW])
  checkEqual(
    {state: status?.state, maxAgeMs: status?.maxAgeMs},
    {state: 'fresh', maxAgeMs: 10_800_000},
    'the view',
  )
  say('Schedules need a worker. These are alive:')
  await shell.run(['worker', 'list'])
  const workers = await shell.json<LiveWorker[]>(['worker', 'list'])
  checkEqual(
    workers.map(({slots, busy}) => ({slots, busy})),
    [{slots: 4, busy: 0}],
    'the workers',
  )
}

async function killInMidRefresh({shell, owner, workers, openSession}: Stage): Promise<void> {
  say('The import has the table again, and a refresh of the worker stops halfway.')
  const holder = await openSession('import')
  await holder.show('begin;')
  await holder.show('lock table workouts;')
  await shell.run(['schedules', 'run', HOURLY])
  const pid = await workers.waitFor(
    () => findHeldRefresh(owner, 'ayb worker'),
    'the worker to wait for the import',
  )
  printRemark(`pid ${pid} refreshes ${VIEW} for worker-1 and waits for the import`)
  const before = await findRunningJob(owner)
  checkEqual(before.attempts, 1, 'attempts before the worker dies')
  say('A second worker comes, and the first one goes without a word:')
  await workers.start('worker-2', ['--poll-interval', '1s'])
  await workers.kill('worker-1')
  say(
    'Postgres ends the refresh that nobody waits for and frees its locks. The second worker sees that, and ' +
      'begins the job again:',
  )
  await workers.waitFor(async () => {
    const heir = await findHeldRefresh(owner, 'ayb worker')
    return heir !== undefined && heir !== pid
  }, 'the second worker to take the job over')
  await holder.show('commit;')
  await holder.close()
  await workers.waitFor(async () => {
    const jobs = await owner.query(`select from _ayb_jobs where id = $1 and state = 'completed'`, [before.id])
    return jobs.length === 1
  }, 'the job to be completed')
  await workers.waitForWord('worker-2', `refreshed ${VIEW}`)
  say('It took two attempts, and both are on record:')
  await shell.run(['jobs', 'list', '--limit', '1'])
  await shell.run(['matviews', 'history', VIEW, '--limit', '2'])
  const [{job}, history] = await Promise.all([
    shell.json<JobDocument>(['jobs', 'show', before.id]),
    shell.json<Run[]>(['matviews', 'history', VIEW]),
  ])
  checkEqual({state: job.state, attempts: job.attempts}, {state: 'completed', attempts: 2}, 'the job')
  const [success, failure, ...others] = history.filter(({jobId}) => jobId === job.id)
  checkEqual(others.length, 0, 'runs of the job beside the two')
  checkEqual([success?.status, failure?.status], ['success', 'error'], 'how its runs ended')
  checkEqual(failure?.workerId, before.workerId, 'the worker of the first attempt')
  check(success?.workerId !== failure?.workerId, 'the second attempt is that of another worker')
}

/** The job whose refresh waits for the import. */
async function findRunningJob(owner: SqlSession) {
  const [job, ...others] = await owner.query<{id: string; attempts: number; workerId: string}>(
    `select id, attempts, worker_id as "workerId" from _ayb_jobs where state = 'running'`,
  )
  check(job !== undefined && others.length === 0, 'one job is running')
  return job
}

async function stop({owner, workers}: Stage): Promise<void> {
  say('SIGTERM is how services are stopped. A worker finishes what it has in hand, and says goodbye.')
  await workers.terminate('worker-2')
  const running = await owner.query(`select from _ayb_jobs where state = 'running'`)
  checkEqual(running.length, 0, 'jobs that are left running')
}
