import type {PostgresServer} from '../support/postgres.ts'
import {installedVersion, isInstalled} from './install.ts'
import {drainWithAyb} from './load/drain.ts'
import {drainWithPeer, type Peer} from './peers.ts'
import {findNode24} from './programs.ts'
import {compareProfiles, describeCut, type Progress, type Rate, speedsOf} from './rates.ts'
import {type Contestant, runRounds} from './rounds.ts'
import type {Bench, Row} from './row.ts'
import type {Mode} from './server.ts'
import {describeValues, medianRatio} from './statistics.ts'

const ROUNDS = 3
export const JOBS = 2000
const DEADLINE_MS = 20_000
const NO_PEER = 'it or the Node.js that it needs is not installed under test/bench'

/** What is drained, and on how many slots. */
export interface Load {
  mode: Mode
  slots: number
}

/** A job queue to compare with. A slow one is measured once: each time, it takes as long as the deadline. */
export type Queue = Peer & {note: string; isSlow?: boolean}

/** As the table names it. */
export const nameOf = ({jobs, mode, slots}: Load & {jobs: number}): string =>
  `${jobs} refreshes due at once, ${mode}, ${slots === 1 ? '1 slot' : `${slots} slots`}`

/** How fast ayb gets through what is due at one instant, beside each queue; a row for each load and queue. */
export async function besideQueues(
  bench: Bench,
  server: PostgresServer,
  {queues, loads, suffix}: {queues: readonly Queue[]; loads: readonly Load[]; suffix: string},
): Promise<Row[]> {
  const node = findNode24()
  const rows: Row[] = []
  for (const load of loads) {
    const what = `${nameOf({...load, jobs: JOBS})}, ${suffix}`
    rows.push(
      ...(node === null
        ? queues.map((queue) => missingRow(queue, what))
        : await rowsOn(node, queues, load, what, server)),
    )
    bench.say(`${what}: beside job queues`)
  }
  return rows
}

async function rowsOn(
  node: string,
  queues: readonly Queue[],
  load: Load,
  what: string,
  server: PostgresServer,
): Promise<Row[]> {
  const drain = {...load, jobs: JOBS, node}
  const toContestant = (queue: Queue): Contestant<Rate & Progress> => ({
    name: labelOf(queue),
    measure: () => drainWithPeer(server, queue, {...drain, deadlineMs: DEADLINE_MS}),
  })
  const ayb: Contestant<Rate & Progress> = {
    name: 'ayb',
    measure: async () => ({...(await drainWithAyb(server, drain)), done: JOBS}),
  }
  const present = queues.filter(({program}) => isInstalled(program))
  const fast = present.filter(({isSlow}) => !isSlow).map(toContestant)
  const slow = present.filter(({isSlow}) => isSlow).map(toContestant)
  const ofFast = await runRounds([ayb, ...fast], ROUNDS)
  const ofSlow = await runRounds(slow, 1)
  return queues.map((queue) => {
    const theirs = [...ofFast(labelOf(queue)), ...ofSlow(labelOf(queue))]
    return theirs.length === 0 ? missingRow(queue, what) : toRow(queue, what, ofFast('ayb'), theirs)
  })
}

function toRow(queue: Queue, what: string, ours: readonly Rate[], theirs: readonly (Rate & Progress)[]): Row {
  const ratio = medianRatio(speedsOf(ours), speedsOf(theirs))
  const cut = describeCut(theirs, JOBS, DEADLINE_MS)
  const profile = compareProfiles(ours, {name: labelOf(queue), rates: theirs})
  return {
    what,
    beside: labelOf(queue),
    ours: describeValues(speedsOf(ours), 'jobs/s'),
    theirs: describeValues(speedsOf(theirs), 'jobs/s'),
    ratio,
    target: 'ahead',
    isMet: ratio > 1,
    note: [`${queue.note}${cut}`, profile].filter((part) => part !== '').join('; '),
  }
}

const missingRow = (queue: Queue, what: string): Row => ({
  what,
  beside: labelOf(queue),
  ours: '',
  theirs: '',
  ratio: null,
  target: 'ahead',
  isMet: null,
  note: NO_PEER,
})

const labelOf = ({program, isTuned}: Peer): string =>
  `${program} ${installedVersion(program) ?? ''}, ${isTuned ? 'tuned' : 'default'}`
