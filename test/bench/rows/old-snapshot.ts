import pg from 'pg'
import {LowerBounds} from '../../../src/core/worker/lower-bounds.ts'
import type {Database} from '../../../src/db/database.ts'
import {readDueSchedules} from '../../../src/db/queue/due.ts'
import {age} from '../load/age.ts'
import {claim, complete, lookAround, queueJobs, withWorkerSession} from '../load/churn.ts'
import type {Bench, Measurement, Row} from '../row.ts'
import {type BenchDatabase, createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const SCHEDULES = 2000
const MINUTES = 120
const ROUNDS = 50
const SLOTS = 4
const TARGET_MS = 20

/**
 * How long the statements of a worker take after two hours beside a REFRESH of two hours, or anybody's old
 * snapshot: nothing of what those hours left can be removed, no table was ever analysed, and the plans are
 * from before. The state is written by SQL, since it would take two hours otherwise.
 */
export const oldSnapshot: Measurement = {
  name: 'oldSnapshot',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer({settings: {autovacuum: 'off', max_wal_size: '4GB'}})
    try {
      const db = await createBenchDatabase(server)
      return await withWorkerSession(db.url, (own) => measureIn(db, own, bench))
    } finally {
      await server.stop()
    }
  },
}

interface Timings {
  looks: number[]
  fullLooks: number[]
  claims: number[]
  dueReads: number[]
}

async function measureIn(db: BenchDatabase, own: Database, bench: Bench): Promise<Row[]> {
  // Plans are kept from here on: of tables that are all but empty.
  await queueJobs(db, ROUNDS * SLOTS)
  const young = await timeRounds(own)
  const reader = new pg.Client({connectionString: db.url})
  await reader.connect()
  try {
    await reader.query('begin isolation level repeatable read')
    await reader.query('select 1')
    await age(db, {minutes: MINUTES, schedules: SCHEDULES})
    bench.say(`${MINUTES} minutes are written`)
    await queueJobs(db, ROUNDS * SLOTS)
    const aged = await timeRounds(own)
    return [
      row('survey', aged.looks, young.looks),
      row('claim', aged.claims, young.claims),
      row('due schedules', aged.dueReads, young.dueReads),
      {
        ...row('survey from the beginning', aged.fullLooks, young.fullLooks),
        target: '',
        isMet: null,
        note: 'one in 50 of the time at the most, at least once a minute',
      },
    ]
  } finally {
    await reader.end()
  }
}

const row = (what: string, ours: readonly number[], theirs: readonly number[]): Row => ({
  what: `${what} after ${MINUTES} minutes of ${SCHEDULES} schedules each, under an old snapshot, never analysed`,
  beside: 'the same before',
  ours: describeValues(ours, 'ms'),
  theirs: describeValues(theirs, 'ms'),
  ratio: median(ours) / median(theirs),
  target: `at most ${TARGET_MS} ms`,
  isMet: median(ours) <= TARGET_MS,
  note: `median of ${ROUNDS}, with plans from before; claims are of ${SLOTS} jobs, commit included`,
})

async function timeRounds(own: Database): Promise<Timings> {
  const timings: Timings = {looks: [], fullLooks: [], claims: [], dueReads: []}
  const bounds = new LowerBounds()
  for (let round = 0; round < ROUNDS; round++) {
    let isFull = false
    const lookedAt = performance.now()
    await bounds.poll([], (from) => {
      isFull = from.from === null
      return lookAround(own, from)
    })
    const lookMs = performance.now() - lookedAt
    timings[isFull ? 'fullLooks' : 'looks'].push(lookMs)
    const dueAt = performance.now()
    await readDueSchedules(own, 500, [], {from: bounds.schedulesFrom})
    const claimedAt = performance.now()
    const jobs = await claim(own, SLOTS, bounds.claimsFrom([]))
    timings.dueReads.push(claimedAt - dueAt)
    timings.claims.push(performance.now() - claimedAt)
    if (jobs.length !== SLOTS) throw new Error(`a claim of ${SLOTS} jobs found ${jobs.length}`)
    await complete(own, jobs)
  }
  // While looks at everything are fast, there are no others.
  if (timings.looks.length === 0) timings.looks.push(...timings.fullLooks)
  return timings
}
