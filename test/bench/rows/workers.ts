import {drainWithAyb} from '../load/drain.ts'
import {compareProfiles, type Rate, speedsOf} from '../rates.ts'
import {runRounds} from '../rounds.ts'
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
      const contestants = [1, ...COUNTS].map((count) => {
        const drain = {jobs: JOBS, mode: 'standard', slots: SLOTS, workers: count} as const
        return {name: nameOf(count), measure: () => drainWithAyb(server, drain)}
      })
      const ratesOf = await runRounds(contestants, ROUNDS, (round) =>
        bench.say(`round ${round} of ${ROUNDS}`),
      )
      return COUNTS.map((count) => toRow(count, ratesOf(nameOf(count)), ratesOf(nameOf(1))))
    } finally {
      await server.stop()
    }
  },
}

const nameOf = (count: number): string => (count === 1 ? '1 worker' : `${count} workers`)

function toRow(count: number, ours: readonly Rate[], alone: readonly Rate[]): Row {
  const ratio = medianRatio(speedsOf(ours), speedsOf(alone))
  return {
    what: `${JOBS} refreshes due at once, ${nameOf(count)} of ${SLOTS} slots`,
    beside: `${nameOf(1)} of ${SLOTS} slots`,
    ours: describeValues(speedsOf(ours), 'jobs/s'),
    theirs: describeValues(speedsOf(alone), 'jobs/s'),
    ratio,
    target: 'at least 1',
    isMet: ratio >= 1,
    note: ratio >= 1 ? '' : compareProfiles(ours, {name: nameOf(1), rates: alone}),
  }
}
