import type {PostgresServer} from '../../support/postgres.ts'
import {installedVersion, isInstalled} from '../install.ts'
import {type Instants, type Lateness, latenessOfAyb, latenessOfPeer, SLOTS} from '../load/lateness.ts'
import type {Peer} from '../peers.ts'
import {findNode24} from '../programs.ts'
import {undisturbed} from '../rounds.ts'
import type {Bench, Measurement, Row} from '../row.ts'
import {startBenchServer} from '../server.ts'
import {median, quantile} from '../statistics.ts'

const PER_SECOND = 20
const SECONDS = 60
const QUICK_SECONDS = 15
const MEDIAN_TARGET_MS = 10
const P99_TARGET_MS = 100

const PEERS: readonly (Peer & {note: string})[] = [
  {program: 'graphile-worker', isTuned: false, note: 'looks for due jobs every 2 s'},
  {
    program: 'graphile-worker',
    isTuned: true,
    note: 'pollInterval 10 ms, for each slot: 400 queries a second',
  },
  {
    program: 'pg-boss',
    isTuned: false,
    note: 'localConcurrency for the slots: a job of each of them every 2 s',
  },
  {
    program: 'pg-boss',
    isTuned: true,
    note: 'pollingIntervalSeconds 0.5, the least it takes, batchSize 5, localConcurrency for the slots',
  },
]

/** How long after its time a refresh starts, where they come one by one and there are slots for them. */
export const lateness: Measurement = {
  name: 'lateness',
  isQuick: true,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const seconds = bench.isQuick ? QUICK_SECONDS : SECONDS
      const instants = {count: seconds * PER_SECOND, intervalMs: 1000 / PER_SECOND}
      const ours = await undisturbed(() => latenessOfAyb(server, instants))
      bench.say(describe(ours))
      const row = ownRow(instants, ours)
      return bench.isQuick ? [row] : [row, ...(await besidePeers(bench, server, instants))]
    } finally {
      await server.stop()
    }
  },
}

function ownRow(instants: Instants, ours: Lateness): Row {
  const isMet =
    median(ours.values) <= MEDIAN_TARGET_MS &&
    quantile(ours.values, 0.99) <= P99_TARGET_MS &&
    ours.unstarted === 0
  return {
    what: nameOf(instants),
    beside: '',
    ours: describe(ours),
    theirs: '',
    ratio: null,
    target: `p50 at most ${MEDIAN_TARGET_MS} ms, p99 ${P99_TARGET_MS} ms`,
    isMet,
    note: `from the due time to the REFRESH, by the database’s clock; 1 worker, ${SLOTS} slots. pg_cron starts on whole seconds alone${lateStretch(ours)}`,
  }
}

/** What is late in one stretch, and never before or after, was late because nobody on the machine got on. */
function lateStretch({values}: Lateness): string {
  const late = values.flatMap((value, n) => (value > P99_TARGET_MS ? [n] : []))
  const [first, last] = [late[0], late.at(-1)]
  if (first === undefined || last === undefined) return ''
  const seconds = ((last - first + 1) / PER_SECOND).toFixed(1)
  return `; ${late.length} were later than ${P99_TARGET_MS} ms, all of them due within ${seconds} s`
}

async function besidePeers(bench: Bench, server: PostgresServer, instants: Instants): Promise<Row[]> {
  const node = findNode24()
  if (node === null) return PEERS.map((peer) => peerRow(instants, peer, null, null))
  const ours = await undisturbed(() => latenessOfAyb(server, instants, node))
  const rows: Row[] = []
  for (const peer of PEERS) {
    const theirs = isInstalled(peer.program)
      ? await undisturbed(() => latenessOfPeer(server, peer, instants, node))
      : null
    rows.push(peerRow(instants, peer, ours, theirs))
    if (theirs) bench.say(`${labelOf(peer)}: ${describe(theirs)}`)
  }
  return rows
}

function peerRow(
  instants: Instants,
  peer: Peer & {note: string},
  ours: Lateness | null,
  theirs: Lateness | null,
): Row {
  const notes = [peer.note]
  if (!theirs) notes.push('it or the Node.js that it needs is not installed under test/bench')
  if (theirs?.unstarted) {
    notes.push(`${theirs.unstarted} of ${instants.count} had not started 30 s after the last was due`)
  }
  return {
    what: `${nameOf(instants)}, Node.js 24`,
    beside: labelOf(peer),
    ours: ours ? describe(ours) : '',
    theirs: theirs ? describe(theirs) : '',
    ratio: ours && theirs ? median(ours.values) / median(theirs.values) : null,
    target: '',
    isMet: null,
    note: notes.join('; '),
  }
}

const nameOf = ({count, intervalMs}: Instants): string =>
  `lateness of ${count} refreshes, ${1000 / intervalMs} a second`

const labelOf = ({program, isTuned}: Peer): string =>
  `${program} ${installedVersion(program) ?? ''}, ${isTuned ? 'tuned' : 'default'}`

const describe = ({values}: Lateness): string =>
  `p50 ${text(median(values))}, p99 ${text(quantile(values, 0.99))}, max ${text(Math.max(...values))} ms`

const text = (ms: number): string => ms.toFixed(ms < 100 ? 1 : 0)
