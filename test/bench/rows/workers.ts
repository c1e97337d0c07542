import {drainWithAyb} from '../drain.ts'
import {Profiles} from '../profiles.ts'
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
      const profiles = new Profiles()
      const contestants = [1, ...COUNTS].map((count) => {
        const drain = {jobs: JOBS, mode: 'standard', slots: SLOTS, workers: count} as const
        return profiles.contestant(nameOf(count), () => drainWithAyb(server, drain))
      })
      const valuesOf = await runRounds(contestants, ROUNDS, (round) =>
        bench.say(`round ${round} of ${ROUNDS}`),
      )
      return COUNTS.map((count) => toRow(count, valuesOf(nameOf(count)), valuesOf(nameOf(1)), profiles))
    } finally {
      await server.stop()
    }
  },
}

const nameOf = (count: number): string => (count === 1 ? '1 worker' : `${count} workers`)

function toRow(count: number, ours: readonly number[], alone: readonly number[], profiles: Profiles): Row {
  const ratio = medianRatio(ours, alone)
  return {
    what: `${JOBS} refreshes due at once, ${nameOf(count)} of ${SLOTS} slots`,
    beside: `${nameOf(1)} of ${SLOTS} slots`,
    ours: describeValues(ours, 'jobs/s'),
    theirs: describeValues(alone, 'jobs/s'),
    ratio,
    target: 'at least 1',
    isMet: ratio >= 1,
    note: ratio >= 1 ? '' : profiles.compare(nameOf(1), nameOf(count)),
  }
}
