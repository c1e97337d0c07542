import {setTimeout as sleep} from 'node:timers/promises'
import {findPostgresProgram} from '../environment.ts'
import {type Read, readFor, startReaders} from '../load/readers.ts'
import {aybProgram, peersFolder, startProgram} from '../programs.ts'
import type {Bench, Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, medianRatio} from '../statistics.ts'

const VIEW = 'v0'
const READERS = {count: 20, leastMs: 2000, mostMs: 5000}
/** With both programs, refreshes beside the readers alone begin for so long. */
const LASTS_MS = 390_000
/** Behind the readers that a refresh held back together, so that the next one finds them apart again. */
const REST_MS = 8000
const QUICK_REST_MS = 4000
const LONG_READ_MS = 45_000

/** A refresh beside readers. */
interface Refresh {
  isThrough: boolean
  /** From the start of the program to its exit. */
  tookMs: number
  /** What all readers waited meanwhile. */
  waitedMs: number
  longestWaitMs: number
}

type Side = 'ours' | 'theirs'
type Refreshes = Record<Side, Refresh[]>

/**
 * How long a refresh takes to get through beside readers who never leave the view alone, and how long they
 * wait for that.
 */
export const politeness: Measurement = {
  name: 'politeness',
  isQuick: true,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const {url} = await createBenchDatabase(server, {views: 1})
      const readers = await startReaders(url, VIEW, READERS)
      const alone: Refreshes = {ours: [], theirs: []}
      const withLongRead: Refreshes = {ours: [], theirs: []}
      try {
        const refresh = async (side: Side, into: Refreshes) => {
          await sleep(bench.isQuick ? QUICK_REST_MS : REST_MS)
          into[side].push(await refreshBeside(bench, PROGRAMS[side], url, readers))
        }
        const startedAt = performance.now()
        do {
          for (const side of SIDES) await refresh(side, alone)
        } while (!bench.isQuick && performance.now() - startedAt < LASTS_MS)
        for (const side of bench.isQuick ? [] : SIDES) {
          const long = readFor(url, VIEW, LONG_READ_MS)
          await refresh(side, withLongRead)
          await long
        }
      } finally {
        await readers.stop()
      }
      const readersAre = `${READERS.count} readers of ${READERS.leastMs / 1000} to ${READERS.mostMs / 1000} s`
      return [
        ...rowsOf(readersAre, alone),
        ...(bench.isQuick ? [] : rowsOf(`${readersAre} and one of ${LONG_READ_MS / 1000} s`, withLongRead)),
      ]
    } finally {
      await server.stop()
    }
  },
}

const SIDES = ['ours', 'theirs'] as const

interface Program {
  name: string
  command: string
  args: string[]
}

const PROGRAMS: Record<Side, Program> = {
  ours: {
    name: 'ayb',
    command: process.execPath,
    args: [aybProgram, 'matviews', 'refresh', VIEW],
  },
  theirs: plainRefresh(),
}

/** A REFRESH that waits as Postgres does. */
function plainRefresh(): Program {
  const psql = findPostgresProgram('psql')
  if (psql === null) {
    const args = [`${peersFolder}/script.mjs`, 'refresh', VIEW]
    return {name: 'a script with pg alone', command: process.execPath, args}
  }
  return {name: 'psql -c', command: psql, args: ['-X', '-q', '-c', `refresh materialized view ${VIEW}`]}
}

async function refreshBeside(
  bench: Bench,
  {name, command, args}: Program,
  url: string,
  readers: {reads: readonly Read[]; settle(): Promise<void>},
): Promise<Refresh> {
  const startedAt = performance.now()
  const program = startProgram(command, args, {url})
  const code = await program.ended
  const endedAt = performance.now()
  await readers.settle()
  const waits = readers.reads
    .filter((read) => read.startedAt >= startedAt && read.startedAt < endedAt)
    .map(({waitedMs}) => waitedMs)
  const refresh = {
    isThrough: code === 0,
    tookMs: endedAt - startedAt,
    waitedMs: waits.reduce((sum, ms) => sum + ms, 0),
    longestWaitMs: Math.max(0, ...waits),
  }
  const {tookMs, waitedMs, longestWaitMs, isThrough} = refresh
  const figures = `${seconds(tookMs)} s, readers waited ${seconds(waitedMs)} s, the longest ${seconds(longestWaitMs)} s`
  bench.say(`${name}: ${isThrough ? 'through' : 'NOT through'} after ${figures}`)
  return refresh
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1)

function rowsOf(readersAre: string, {ours, theirs}: Refreshes): Row[] {
  const values = (refreshes: readonly Refresh[], key: 'tookMs' | 'waitedMs' | 'longestWaitMs') =>
    refreshes.map((refresh) => refresh[key] / 1000)
  const row = (what: string, key: 'tookMs' | 'waitedMs' | 'longestWaitMs') => ({
    what,
    beside: `${PROGRAMS.theirs.name}, REFRESH`,
    ours: describeValues(values(ours, key), 's'),
    theirs: describeValues(values(theirs, key), 's'),
    ratio: medianRatio(values(ours, key), values(theirs, key)),
  })
  const through = ours.filter(({isThrough}) => isThrough).length
  const plain = {target: '', isMet: null, note: ''}
  return [
    {
      ...row(`refresh beside ${readersAre}, until it is through`, 'tookMs'),
      target: 'each gets through',
      isMet: through === ours.length,
      note: `${through} of ${ours.length} got through; ayb lets readers pass between its tries, a plain REFRESH waits until all of them have left`,
    },
    {...row('what these readers waited, all together', 'waitedMs'), ...plain},
    {...row('the longest that one of them waited', 'longestWaitMs'), ...plain},
  ]
}
