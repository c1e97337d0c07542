import type {PostgresServer} from '../../support/postgres.ts'
import {findPostgresProgram} from '../environment.ts'
import {besideQueues, JOBS, type Load, nameOf, type Queue} from '../job-queues.ts'
import {drainWithAyb} from '../load/drain.ts'
import {refreshWithPgbench} from '../pgbench.ts'
import {compareProfiles, type Rate, speedsOf} from '../rates.ts'
import {type Contestant, runRounds} from '../rounds.ts'
import type {Bench, Measurement, Row} from '../row.ts'
import {startBenchServer} from '../server.ts'
import {describeValues, medianRatio} from '../statistics.ts'

const ROUNDS = 3
const QUICK_JOBS = 1000
/** Share of what pgbench reaches, to be reached at the guarded numbers of slots. */
const TARGETS = {standard: 0.6, concurrent: 0.8}
const GUARDED_SLOTS = [4, 8]
/** Below that, and be it in one short round, the README would not be true any more. */
const LEAST_IN_QUICK = 0.45

interface Drain extends Load {
  jobs: number
}

const LOADS: readonly Load[] = (['standard', 'concurrent'] as const).flatMap((mode) =>
  [1, 4, 8, 16].map((slots) => ({mode, slots})),
)
const QUICK_LOADS: readonly Load[] = [
  {mode: 'standard', slots: 4},
  {mode: 'concurrent', slots: 4},
]
const PEER_LOADS: readonly Load[] = [
  {mode: 'standard', slots: 4},
  {mode: 'standard', slots: 8},
  {mode: 'concurrent', slots: 4},
]

const PEERS: readonly Queue[] = [
  {program: 'graphile-worker', isTuned: false, note: ''},
  {
    program: 'graphile-worker',
    isTuned: true,
    note: 'localQueue of 100 jobs, completeJobBatchDelay 0, pollInterval 100 ms: a crash leaves what was fetched locked for 4 hours',
  },
  {
    program: 'pg-boss',
    isTuned: false,
    isSlow: true,
    note: 'localConcurrency for the slots: a job of each of them every 2 s',
  },
  {
    program: 'pg-boss',
    isTuned: true,
    note: 'batchSize 50, burstWhenBatchFull, localConcurrency for the slots: a batch is settled as a whole',
  },
]

/**
 * How fast a worker gets through schedules that are all due at one instant, beside the server alone and job
 * queues.
 */
export const throughput: Measurement = {
  name: 'throughput',
  isQuick: true,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      return [
        ...(await besideServer(bench, server)),
        ...(bench.isQuick
          ? []
          : await besideQueues(bench, server, {queues: PEERS, loads: PEER_LOADS, suffix: 'Node.js 24'})),
      ]
    } finally {
      await server.stop()
    }
  },
}

async function besideServer(bench: Bench, server: PostgresServer): Promise<Row[]> {
  const pgbench = findPostgresProgram('pgbench')
  const jobs = bench.isQuick ? QUICK_JOBS : JOBS
  const rows: Row[] = []
  for (const load of bench.isQuick ? QUICK_LOADS : LOADS) {
    const drain: Drain = {...load, jobs}
    const contestants: Contestant<Rate>[] = [{name: 'ayb', measure: () => drainWithAyb(server, drain)}]
    if (pgbench !== null) {
      contestants.push({name: 'pgbench', measure: () => refreshWithPgbench(server, pgbench, drain)})
    }
    const ratesOf = await runRounds(contestants, bench.isQuick ? 1 : ROUNDS)
    rows.push(rowBesideServer(drain, ratesOf('ayb'), ratesOf('pgbench'), bench.isQuick))
    bench.say(`${nameOf(drain)}: ${describeValues(speedsOf(ratesOf('ayb')), 'jobs/s')}`)
  }
  return rows
}

function rowBesideServer(
  drain: Drain,
  ours: readonly Rate[],
  theirs: readonly Rate[],
  isQuick: boolean,
): Row {
  const isGuarded = GUARDED_SLOTS.includes(drain.slots)
  const least = isQuick ? LEAST_IN_QUICK : TARGETS[drain.mode]
  const row = {
    what: nameOf(drain),
    beside: 'pgbench',
    ours: describeValues(speedsOf(ours), 'jobs/s'),
    target: isGuarded ? `at least ${least}` : '',
  }
  if (theirs.length === 0) {
    const note = 'pgbench is not installed: apt-get install postgresql-contrib'
    return {...row, theirs: '', ratio: null, isMet: null, note}
  }
  const ratio = medianRatio(speedsOf(ours), speedsOf(theirs))
  return {
    ...row,
    theirs: describeValues(speedsOf(theirs), 'tps'),
    ratio,
    isMet: isGuarded ? ratio >= least : null,
    note: isGuarded && ratio < least ? compareProfiles(ours, {name: 'pgbench', rates: theirs}) : '',
  }
}
