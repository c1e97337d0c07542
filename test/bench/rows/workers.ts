import {drainWithAyb} from '../drain.ts'
import {type Contestant, runRounds} from '../rounds.ts'
import type {Measurement, Row} from '../row.ts'
import {startBenchServer} from '../server.ts'
import {describeValues, medianRatio} from '../statistics.ts'

const ROUNDS = 3
const JOBS = 2000
const SLOTS = 4
const COUNTS = [2, 4]

/** Whether several workers on the same schedules are in each other's way. */
export const workers: Measurement = {
  name: 'workers',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const contestants = [1, ...COUNTS].map(
        (count): Contestant => ({
          name: String(count),
          measure: async () => {
            const drain = {jobs: JOBS, mode: 'standard', slots: SLOTS, workers: count} as const
            return (await drainWithAyb(server, drain)).perSecond
          },
        }),
      )
      const valuesOf = await runRounds(contestants, ROUNDS, (round) =>
        bench.say(`round ${round} of ${ROUNDS}`),
      )
      return COUNTS.map((count) => toRow(count, valuesOf(String(count)), valuesOf('1')))
    } finally {
      await server.stop()
    }
  },
}

function toRow(count: number, ours: readonly number[], alone: readonly number[]): Row {
  const ratio = medianRatio(ours, alone)
  return {
    what: `${JOBS} refreshes due at once, ${count} workers of ${SLOTS} slots`,
    beside: `1 worker of ${SLOTS} slots`,
    ours: describeValues(ours, 'jobs/s'),
    theirs: describeValues(alone, 'jobs/s'),
    ratio,
    target: 'at least 1',
    isMet: ratio >= 1,
    note: '',
  }
}
