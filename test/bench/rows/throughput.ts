import type {PostgresServer} from '../../support/postgres.ts'
import {findPostgresProgram} from '../environment.ts'
import {installedVersion, isInstalled} from '../install.ts'
import {drainWithAyb} from '../load/drain.ts'
import {drainWithPeer, type Peer} from '../peers.ts'
import {refreshWithPgbench} from '../pgbench.ts'
import {findNode24} from '../programs.ts'
import {compareProfiles, describeCut, type Progress, type Rate, speedsOf} from '../rates.ts'
import {type Contestant, runRounds} from '../rounds.ts'
import type {Bench, Measurement, Row} from '../row.ts'
import {type Mode, startBenchServer} from '../server.ts'
import {describeValues, medianRatio} from '../statistics.ts'

const ROUNDS = 3
const JOBS = 2000
const QUICK_JOBS = 1000
/** Share of what pgbench reaches, to be reached at the guarded numbers of slots. */
const TARGETS = {standard: 0.6, concurrent: 0.8}
const GUARDED_SLOTS = [4, 8]
/** Below that, and be it in one short round, the README would not be true any more. */
const LEAST_IN_QUICK = 0.45
const PEER_DEADLINE_MS = 20_000

interface Load {
  mode: Mode
  slots: number
}

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

const PEERS: readonly (Peer & {note: string; isSlow?: boolean})[] = [
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
        ...(bench.isQuick ? [] : await besidePeers(bench, server)),
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

async function besidePeers(bench: Bench, server: PostgresServer): Promise<Row[]> {
  const node = findNode24()
  const rows: Row[] = []
  for (const load of PEER_LOADS) {
    rows.push(...(node === null ? missingRows(load) : await besidePeersOn(node, load, server)))
    bench.say(`${nameOf({...load, jobs: JOBS})}: beside job queues`)
  }
  return rows
}

async function besidePeersOn(node: string, load: Load, server: PostgresServer): Promise<Row[]> {
  const drain = {...load, jobs: JOBS, node}
  const toContestant = (peer: Peer): Contestant<Rate & Progress> => ({
    name: labelOf(peer),
    measure: () => drainWithPeer(server, peer, {...drain, deadlineMs: PEER_DEADLINE_MS}),
  })
  const ayb: Contestant<Rate & Progress> = {
    name: 'ayb',
    measure: async () => ({...(await drainWithAyb(server, drain)), done: JOBS}),
  }
  const present = PEERS.filter(({program}) => isInstalled(program))
  const fast = present.filter(({isSlow}) => !isSlow).map(toContestant)
  const slow = present.filter(({isSlow}) => isSlow).map(toContestant)
  const ofFast = await runRounds([ayb, ...fast], ROUNDS)
  const ofSlow = await runRounds(slow, 1)
  return PEERS.map((peer) =>
    rowBesidePeer(peer, load, ofFast('ayb'), [...ofFast(labelOf(peer)), ...ofSlow(labelOf(peer))]),
  )
}

function rowBesidePeer(
  peer: Peer & {note: string},
  load: Load,
  ours: readonly Rate[],
  theirs: readonly (Rate & Progress)[],
): Row {
  const row = {
    what: `${nameOf({...load, jobs: JOBS})}, Node.js 24`,
    beside: labelOf(peer),
    ours: describeValues(speedsOf(ours), 'jobs/s'),
    target: 'ahead',
  }
  if (theirs.length === 0) return {...row, theirs: '', ratio: null, isMet: null, note: NO_PEER}
  const ratio = medianRatio(speedsOf(ours), speedsOf(theirs))
  const cut = describeCut(theirs, JOBS, PEER_DEADLINE_MS)
  const profile = ratio > 1 ? '' : compareProfiles(ours, {name: labelOf(peer), rates: theirs})
  return {
    ...row,
    theirs: describeValues(speedsOf(theirs), 'jobs/s'),
    ratio,
    isMet: ratio > 1,
    note: [`${peer.note}${cut}`, profile].filter((part) => part !== '').join('; '),
  }
}

const NO_PEER = 'it or the Node.js that it needs is not installed under test/bench'

const missingRows = (load: Load): Row[] =>
  PEERS.map((peer) => ({
    what: nameOf({...load, jobs: JOBS}),
    beside: labelOf(peer),
    ours: '',
    theirs: '',
    ratio: null,
    target: 'ahead',
    isMet: null,
    note: NO_PEER,
  }))

const nameOf = ({jobs, mode, slots}: Drain): string =>
  `${jobs} refreshes due at once, ${mode}, ${slots === 1 ? '1 slot' : `${slots} slots`}`

const labelOf = ({program, isTuned}: Peer): string =>
  `${program} ${installedVersion(program) ?? ''}, ${isTuned ? 'tuned' : 'default'}`
