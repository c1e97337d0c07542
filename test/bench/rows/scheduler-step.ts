import {setTimeout as sleep} from 'node:timers/promises'
import type {PostgresServer} from '../../support/postgres.ts'
import {until} from '../../support/until.ts'
import {createSchedules} from '../load/schedules.ts'
import {type ProcessorTime, startMeter} from '../processor.ts'
import {undisturbed} from '../rounds.ts'
import type {Measurement} from '../row.ts'
import {type BenchDatabase, createBenchDatabase, startBenchServer, startBenchWorker} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const ROUNDS = 3
const SCHEDULES = 10_000
const SLOTS = 4
const QUEUED_TARGET_MS = 2000
const BLOCKED_TARGET_MS = 50
/** From the creation of the schedules to when they are due. */
const LEAD_MS = 5000
const AFTER_MS = 3000
const LOOK_EVERY_MS = 250
const DEADLINE_MS = 120_000
const MONITOR = new URL('../load/event-loop-monitor.mjs', import.meta.url).href

/** How long the event loop served nobody, and how much of that the process worked, both in milliseconds. */
interface Blocked {
  blockedMs: number
  cpuMs: number
}

/** How soon many schedules that are due at once become jobs, and whether the worker answers meanwhile. */
export const schedulerStep: Measurement = {
  name: 'schedulerStep',
  isQuick: false,
  async measure(bench) {
    // So that the schedules tell when their jobs were committed, and nobody has to ask meanwhile.
    const server = await startBenchServer({settings: {track_commit_timestamp: 'on'}})
    try {
      const steps: Step[] = []
      for (let round = 1; round <= ROUNDS; round++) {
        steps.push(await undisturbed(() => measureStep(server)))
        bench.say(`round ${round} of ${ROUNDS}`)
      }
      const queuedMs = steps.map((step) => step.queuedMs)
      const blockedMs = steps.map(({blocked}) => blocked.blockedMs)
      const cpuMs = steps.map(({blocked}) => blocked.cpuMs)
      const common = {beside: '', theirs: '', ratio: null}
      return [
        {
          ...common,
          what: `${SCHEDULES} schedules due at one instant, until all are jobs`,
          ours: describeValues(queuedMs, 'ms'),
          target: `at most ${QUEUED_TARGET_MS} ms`,
          isMet: median(queuedMs) <= QUEUED_TARGET_MS,
          note: `commit of the last by the database's clock, while ${SLOTS} slots refresh${processorTimeOf(steps)}`,
        },
        {
          ...common,
          what: 'longest block of the worker’s event loop there',
          ours: describeValues(blockedMs, 'ms'),
          target: `at most ${BLOCKED_TARGET_MS} ms`,
          isMet: median(blockedMs) <= BLOCKED_TARGET_MS,
          note: `by the clock; the process used ${median(cpuMs).toFixed(1)} ms of processor time in it`,
        },
      ]
    } finally {
      await server.stop()
    }
  },
}

interface Step {
  queuedMs: number
  blocked: Blocked
  /** Until all jobs were there, refreshes among them. */
  used: ProcessorTime | null
}

function processorTimeOf(steps: readonly Step[]): string {
  const used = steps.flatMap((step) => step.used ?? [])
  if (used.length === 0) return ''
  const seconds = (values: number[]) => `${(median(values) / 1000).toFixed(1)} s`
  return `, in which the server used ${seconds(used.map(({serverMs}) => serverMs))} of the processors and the worker ${seconds(used.map(({clientMs}) => clientMs))}`
}

async function measureStep(server: PostgresServer): Promise<Step> {
  const db = await createBenchDatabase(server)
  try {
    return await measureStepIn(server, db)
  } finally {
    await db.drop()
  }
}

async function measureStepIn(server: PostgresServer, db: BenchDatabase): Promise<Step> {
  const worker = await startBenchWorker(db, {slots: SLOTS, env: {NODE_OPTIONS: `--import=${MONITOR}`}})
  // Loading itself blocks, and is not what is measured.
  worker.kill('SIGUSR2')
  const dueAt = await createSchedules(db, {count: SCHEDULES, inMs: LEAD_MS, intervalMs: 0})
  await sleep(LEAD_MS)
  const usedSince = startMeter(server, [worker.pid])
  await until(() => areAllQueued(db), {what: `${SCHEDULES} jobs`, timeoutMs: DEADLINE_MS})
  const used = usedSince(1)
  // The refreshes go on for a while.
  await sleep(AFTER_MS)
  await worker.stop()
  const [, report = ''] = /^longest block (.+)$/m.exec(worker.output()) ?? []
  return {queuedMs: await lastQueuedMs(db, dueAt), blocked: JSON.parse(report) as Blocked, used}
}

/** Seldom: whoever asks takes part of the machine. */
async function areAllQueued(db: BenchDatabase): Promise<boolean> {
  await sleep(LOOK_EVERY_MS)
  const [row] = await db.query<{count: number}>('select count(*)::int as count from _ayb_jobs')
  return row?.count === SCHEDULES
}

/** A schedule is moved on in the transaction that makes its job, and then not again for a year. */
async function lastQueuedMs(db: BenchDatabase, dueAt: number): Promise<number> {
  const [row] = await db.query<{ms: number}>(
    `select extract(epoch from max(pg_xact_commit_timestamp(xmin)))::float8 * 1000 - $1::float8 as ms
       from _ayb_job_schedules`,
    [dueAt],
  )
  return row?.ms ?? Number.NaN
}
