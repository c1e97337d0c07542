import pg from 'pg'
import type {Database} from '../../../src/db/database.ts'
import type {PostgresServer} from '../../support/postgres.ts'
import {claim, complete, lookAround, passThrough, queueJobs, withWorkerSession} from '../load/churn.ts'
import type {Bench, Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const PASSED_JOBS = 20_000
const ROUNDS = 50
const SLOTS = 4
const TARGET_MS = 5

/** How long both statements of a worker's round took, its commit included, each in milliseconds. */
interface Timings {
  claims: number[]
  surveys: number[]
}

/**
 * How long a claim takes when vacuum cannot clean up behind the jobs before it, since somebody holds an old
 * snapshot.
 */
export const claims: Measurement = {
  name: 'claims',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const fresh = await timeOnFresh(server)
      const aged = await timeBehindSnapshot(server, bench)
      const beside = 'the same on a fresh database'
      return [
        {
          ...row(`claim after ${PASSED_JOBS} jobs, under an old snapshot`, aged.claims, fresh.claims),
          beside,
          target: `at most ${TARGET_MS} ms`,
          isMet: median(aged.claims) <= TARGET_MS,
          note: `median of ${ROUNDS} claims of ${SLOTS} jobs, commit included; the snapshot is open since before the first job`,
        },
        {...row('survey there', aged.surveys, fresh.surveys), beside, note: 'the look around before a claim'},
      ]
    } finally {
      await server.stop()
    }
  },
}

function row(what: string, ours: readonly number[], theirs: readonly number[]): Row {
  return {
    what,
    beside: '',
    ours: describeValues(ours, 'ms'),
    theirs: describeValues(theirs, 'ms'),
    ratio: median(ours) / median(theirs),
    target: '',
    isMet: null,
    note: '',
  }
}

async function timeOnFresh(server: PostgresServer): Promise<Timings> {
  const db = await createBenchDatabase(server)
  try {
    await queueJobs(db, ROUNDS * SLOTS)
    await db.query('vacuum analyze')
    return await withWorkerSession(db.url, timeRounds)
  } finally {
    await db.drop()
  }
}

async function timeBehindSnapshot(server: PostgresServer, bench: Bench): Promise<Timings> {
  const db = await createBenchDatabase(server)
  const reader = new pg.Client({connectionString: db.url})
  await reader.connect()
  try {
    await reader.query('begin isolation level repeatable read')
    await reader.query('select 1')
    await queueJobs(db, PASSED_JOBS)
    return await withWorkerSession(db.url, async (own) => {
      const passed = await passThrough(own)
      bench.say(`${passed} jobs went through`)
      await queueJobs(db, ROUNDS * SLOTS)
      // As autovacuum would: here it only learns that nothing may be removed.
      await db.query('vacuum analyze')
      return timeRounds(own)
    })
  } finally {
    await reader.end()
    await db.drop()
  }
}

async function timeRounds(own: Database): Promise<Timings> {
  const timings: Timings = {claims: [], surveys: []}
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now()
    const {oldestDue} = await lookAround(own)
    const surveyedAt = performance.now()
    const jobs = await claim(own, SLOTS, oldestDue)
    timings.surveys.push(surveyedAt - startedAt)
    timings.claims.push(performance.now() - surveyedAt)
    if (jobs.length !== SLOTS) throw new Error(`a claim of ${SLOTS} jobs found ${jobs.length}`)
    await complete(own, jobs)
  }
  return timings
}
