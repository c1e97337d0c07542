import {drainIn} from '../load/drain.ts'
import {speedsOf} from '../rates.ts'
import {runRounds} from '../rounds.ts'
import type {Measurement, Row} from '../row.ts'
import {type BenchDatabase, createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, medianRatio} from '../statistics.ts'

const FUTURE_SCHEDULES = 200_000
const FINISHED_JOBS = 1_000_000
const DUE = 2000
const SLOTS = 4
const ROUNDS = 4
const TARGET = 0.9

/** Whether a worker is as fast with years of schedules and a month of jobs around it. */
export const scale: Measurement = {
  name: 'scale',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const small = await createBenchDatabase(server)
      const large = await createBenchDatabase(server)
      await fill(large)
      await settle(small)
      await settle(large)
      bench.say('the large database is there')
      const drain = {jobs: DUE, slots: SLOTS}
      const contestants = [
        {name: 'large', measure: () => drainIn(server, large, drain)},
        {name: 'small', measure: () => drainIn(server, small, drain)},
      ]
      // Not in rounds: a disturbed attempt would be repeated, and there is one first time alone.
      const first = [await drainIn(server, large, drain), await drainIn(server, small, drain)] as const
      const warm = await runRounds(contestants, ROUNDS, (round) => bench.say(`round ${round} of ${ROUNDS}`))
      return [
        warmRow(speedsOf(warm('large')), speedsOf(warm('small'))),
        firstRow(speedsOf([first[0]]), speedsOf([first[1]])),
      ]
    } finally {
      await server.stop()
    }
  },
}

function row(ours: readonly number[], theirs: readonly number[]): Row {
  return {
    what: `${DUE} refreshes due at once among ${FUTURE_SCHEDULES} schedules, ${FINISHED_JOBS} finished jobs and as many runs`,
    beside: 'the same in a database without them',
    ours: describeValues(ours, 'jobs/s'),
    theirs: describeValues(theirs, 'jobs/s'),
    ratio: medianRatio(ours, theirs),
    target: '',
    isMet: null,
    note: '',
  }
}

function warmRow(ours: readonly number[], theirs: readonly number[]): Row {
  const ratio = medianRatio(ours, theirs)
  return {
    ...row(ours, theirs),
    target: `at least ${TARGET}`,
    isMet: ratio >= TARGET,
    note: `1 worker, ${SLOTS} slots, standard; ${ROUNDS} rounds in the same two databases`,
  }
}

/**
 * What is written for the first time since a checkpoint goes into the log as whole pages: more of them, the
 * larger.
 */
const firstRow = (ours: readonly number[], theirs: readonly number[]): Row => ({
  ...row(ours, theirs),
  note: 'the first time there, right after a checkpoint, with nothing in the server’s cache',
})

/**
 * Schedules that are due within a month, and what a month of them left behind, younger than retention
 * deletes.
 */
async function fill(db: BenchDatabase): Promise<void> {
  await db.query(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at, last_run_at)
     select 'future ' || n, 'materialized_view_refresh', jsonb_build_object('view_name', 'v' || n % $2::int), '0 0 1 1 *',
            now() + interval '1 day' + n * (interval '29 days' / $1::int), now() - interval '1 day'
       from generate_series(0, $1::int - 1) n`,
    [FUTURE_SCHEDULES, db.views],
  )
  await db.query(
    `with schedule as materialized (
       select id, payload, row_number() over (order by next_run_at) - 1 as n from _ayb_job_schedules),
     ended as materialized (
       select n, now() - interval '29 days' + n * (interval '29 days' / $1::int) as at from generate_series(0, $1::int - 1) n)
     insert into _ayb_jobs (type, payload, state, attempts, schedule_id, run_at, created_at, last_run_at, completed_at, updated_at)
     select 'materialized_view_refresh', s.payload, 'completed', 1, s.id, e.at - interval '1 s', e.at - interval '1 s',
            e.at - interval '0.5 s', e.at, e.at
       from ended e join schedule s on s.n = e.n % $2::int
      order by e.n`,
    [FINISHED_JOBS, FUTURE_SCHEDULES],
  )
  await db.query(
    `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, duration_ms, status, size_bytes)
     select 'public', payload->>'view_name', 'standard', 'schedule', id, 'ayb:5bd1e9955bd1e995:bench:1', last_run_at, 500, 'success', 24576
       from _ayb_jobs order by completed_at`,
  )
}

async function settle(db: BenchDatabase): Promise<void> {
  await db.query('vacuum analyze')
  await db.query('checkpoint')
}
