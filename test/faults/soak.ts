import {constants} from 'node:os'
import {setTimeout as sleep} from 'node:timers/promises'
import {parseArgs} from 'node:util'
import {createSchedules} from '../bench/load/schedules.ts'
import {rootFolder} from '../bench/programs.ts'
import {type BenchDatabase, createBenchDatabase, startBenchServer} from '../bench/server.ts'
import {ensureBuilt} from '../support/build.ts'
import {until} from '../support/until.ts'
import {FAULTS, patiently, type Stage, startSoakWorker} from './soak/faults.ts'
import {describeSample, levelsOf, SAMPLE_HEADER, type Sample, takeSample} from './soak/samples.ts'

const HELP = `Has two workers refresh 50 views a second while something breaks every 10 seconds, and looks for what grows or is lost.

Usage:
  npm run test:soak                     Ten minutes
  npm run test:soak -- --minutes 60     An hour`

/** Each second so many schedules are due once, and so many more come round. */
const ONCE_PER_SECOND = 40
const EVERY_SECOND = 10
const FAULT_EVERY_MS = 10_000
const SAMPLE_EVERY_MS = 1000
const PRINT_EVERY = 10
/** What was put off by the last fault is tried again after seconds, or after the pauses of three attempts. */
const DRAIN_MS = 120_000
/**
 * Of a worker: its slots, its control session, and one that is being opened while another one is given up.
 */
const SESSIONS_A_WORKER = 4 + 1 + 1

/** Something that must hold at the end. */
interface Check {
  what: string
  isMet: boolean
  seen: string
}

process.exitCode = await main(process.argv.slice(2))

/** Returns the exit code. */
async function main(args: string[]): Promise<number> {
  const minutes = readMinutes(args)
  if (typeof minutes === 'string') {
    process.stderr.write(`${minutes}\n`)
    return minutes === HELP ? 0 : 2
  }
  // Servers and programs go with this process: they listen to its exit, which a signal alone would not bring
  // about.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]))
  }
  const failure = await ensureBuilt(rootFolder)
  if (failure !== null) {
    process.stderr.write(`ayb could not be built:\n${failure}\n`)
    return 1
  }
  const server = await startBenchServer()
  try {
    const db = await createBenchDatabase(server)
    const stage: Stage = {server, db, survivor: await startSoakWorker(db), victim: await startSoakWorker(db)}
    const checks = await soak(stage, minutes * 60_000)
    for (const {what, isMet, seen} of checks) say(`${isMet ? 'ok    ' : 'FAILED'} ${what}: ${seen}`)
    return checks.every(({isMet}) => isMet) ? 0 : 1
  } finally {
    await server.stop()
  }
}

/** How long to go on, or what to say instead. */
function readMinutes(args: string[]): number | string {
  try {
    const {values} = parseArgs({
      args,
      options: {
        minutes: {type: 'string', default: '10'},
        help: {type: 'boolean', short: 'h', default: false},
      },
    })
    if (values.help) return HELP
    const minutes = Number(values.minutes)
    return minutes >= 0.5 && minutes <= 24 * 60 ? minutes : `--minutes takes 0.5 to 1440\n\n${HELP}`
  } catch (error) {
    if (error instanceof TypeError) return `${error.message}\n\n${HELP}`
    throw error
  }
}

async function soak(stage: Stage, durationMs: number): Promise<Check[]> {
  const {db, survivor} = stage
  await db.query(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
     select 'round ' || n, 'materialized_view_refresh', jsonb_build_object('view_name', 'v' || n), '* * * * * *',
            now() + interval '5 s'
       from generate_series(0, $1::int - 1) n`,
    [EVERY_SECOND],
  )
  await createSchedules(db, {
    count: Math.round((durationMs / 1000) * ONCE_PER_SECOND),
    inMs: 10_000,
    intervalMs: 1000 / ONCE_PER_SECOND,
  })
  const startedAt = performance.now()
  const over = new AbortController()
  const sampling = sample(stage, startedAt, over.signal)
  for (let n = 0; ; n++) {
    const nextAt = startedAt + (n + 1) * FAULT_EVERY_MS
    if (nextAt > startedAt + durationMs) break
    await sleep(Math.max(0, nextAt - performance.now()))
    const fault = FAULTS[n % FAULTS.length]
    if (fault) say(`${''.padStart(6)} ${await fault(stage)}`)
  }
  await sleep(Math.max(0, startedAt + durationMs - performance.now()))
  over.abort()
  const samples = await sampling
  await patiently(() => db.query(`update _ayb_job_schedules set enabled = false where name like 'round %'`))
  const openMs = await drain(db)
  const idle = await takeSample(stage, startedAt)
  const viewLocks = await countViewLocks(db)
  const outages = countOutages(survivor.output())
  await Promise.all([survivor.stop(), stage.victim.stop()])
  const left = await takeLeft(db)
  return [
    ...levelsOf(samples).map(({what, second, last, isLevel}) => ({
      what: `level: ${what}`,
      isMet: isLevel,
      seen: `${second.toFixed(1)} in the second quarter, ${last.toFixed(1)} in the last`,
    })),
    {
      what: 'every due time is refreshed',
      isMet: openMs !== null,
      seen: openMs === null ? `not after ${DRAIN_MS} ms` : `all done ${Math.round(openMs)} ms after the end`,
    },
    ...(await checkJobs(db)),
    {
      what: 'idle, the workers hold no view and no more sessions than they need',
      isMet: viewLocks === 0 && idle.sessions !== null && idle.sessions <= 2 * SESSIONS_A_WORKER,
      seen: `${viewLocks} locks of views, ${idle.sessions} sessions`,
    },
    {
      what: 'the worker that lives on came back from each outage',
      isMet: outages.lost === outages.back,
      seen: `lost ${outages.lost} times, back ${outages.back} times`,
    },
    {what: 'stopped, they leave nothing behind', isMet: left === 0, seen: `${left} sessions and locks`},
  ]
}

/** Looks every second until the signal, and prints some of it. */
async function sample(stage: Stage, startedAt: number, signal: AbortSignal): Promise<Sample[]> {
  const samples: Sample[] = []
  say(SAMPLE_HEADER)
  while (!signal.aborted) {
    const taken = await takeSample(stage, startedAt)
    samples.push(taken)
    if (samples.length % PRINT_EVERY === 1) say(describeSample(taken))
    await sleep(SAMPLE_EVERY_MS, undefined, {signal}).catch(() => {})
  }
  return samples
}

/** How long it took until nothing was open any more; null where that did not come about. */
async function drain(db: BenchDatabase): Promise<number | null> {
  const startedAt = performance.now()
  const isDone = async () => {
    const [row] = await patiently(() =>
      db.query<{open: number}>(
        `select (select count(*)::int from _ayb_jobs where state in ('queued', 'running'))
                + (select count(*)::int from _ayb_job_schedules s join bench_due d on d.schedule_id = s.id
                    where s.next_run_at = d.due_at) as open`,
      ),
    )
    return row?.open === 0
  }
  return until(isDone, {what: 'the end', timeoutMs: DRAIN_MS}).then(
    () => performance.now() - startedAt,
    () => null,
  )
}

/** What the tables say of each due time and each job. */
async function checkJobs(db: BenchDatabase): Promise<Check[]> {
  const [row] = await db.query<{
    due: number
    once: number
    doubled: number
    unfinished: number
    contradictory: number
    excessive: number
  }>(
    `with runs as (
       select job_id, count(*) filter (where status = 'success') as successes from _ayb_matview_refresh_runs group by job_id),
     j as (
       select j.*, coalesce(r.successes, 0) as successes from _ayb_jobs j left join runs r on r.job_id = j.id)
     select (select count(*)::int from bench_due) as due,
            (select count(*)::int from bench_due d
              where (select array_agg(j.state::text) from j where j.schedule_id = d.schedule_id) = array['completed']) as once,
            (select count(*)::int from (select from j group by schedule_id, run_at having count(*) > 1) x) as doubled,
            (select count(*)::int from j where state <> 'completed') as unfinished,
            (select count(*)::int from j
              where successes <> (state = 'completed')::int or (state = 'completed') <> (completed_at is not null)
                 or canceled_at is not null) as contradictory,
            (select count(*)::int from j where attempts > max_attempts) as excessive`,
  )
  if (!row) throw new Error('no answer')
  const {due, once, doubled, unfinished, contradictory, excessive} = row
  return [
    {
      what: 'each due time has one job, completed',
      isMet: due > 0 && once === due,
      seen: `${once} of ${due}`,
    },
    {what: 'no due time has two jobs', isMet: doubled === 0, seen: `${doubled} have`},
    {what: 'no job is given up', isMet: unfinished === 0, seen: `${unfinished} are not completed`},
    {
      what: 'no job is in two final states',
      isMet: contradictory === 0,
      seen: `${contradictory} without just one success`,
    },
    {what: 'no job has more attempts than it may', isMet: excessive === 0, seen: `${excessive} have`},
  ]
}

/** Theirs are hashes of 32 bits; the keys of workers are outside of that range. */
async function countViewLocks(db: BenchDatabase): Promise<number> {
  const [row] = await db.query<{locks: number}>(
    `select count(*)::int as locks from pg_locks
      where locktype = 'advisory' and objsubid = 1 and classid::bigint in (0, 4294967295)
        and database = (select oid from pg_database where datname = current_database())`,
  )
  return row?.locks ?? Number.NaN
}

async function takeLeft(db: BenchDatabase): Promise<number> {
  const [row] = await db.query<{things: number}>(
    `select ((select count(*) from pg_stat_activity
               where datname = current_database() and application_name like 'ayb %')
             + (select count(*) from pg_locks
                 where locktype = 'advisory'
                   and database = (select oid from pg_database where datname = current_database())))::int as things`,
  )
  return row?.things ?? Number.NaN
}

function countOutages(log: string): {lost: number; back: number} {
  const count = (text: string) => log.split(`"msg":"${text}"`).length - 1
  return {lost: count('database lost, reconnecting'), back: count('database is back')}
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
