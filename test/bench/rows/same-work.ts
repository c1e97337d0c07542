import {besideQueues, type Load, type Queue} from '../job-queues.ts'
import type {Measurement} from '../row.ts'
import {startBenchServer} from '../server.ts'

const LOADS: readonly Load[] = (['standard', 'concurrent'] as const).flatMap((mode) =>
  [4, 8].map((slots) => ({mode, slots})),
)

const GRAPHILE_WORKER = 'the jobs of a dead worker are unlocked within 2 s: an advisory lock for each worker'
const PG_BOSS =
  'the jobs of a dead worker are given back within 12 s: heartbeatSeconds 10, monitorIntervalSeconds 2'

const QUEUES: readonly Queue[] = [
  {program: 'graphile-worker', hasSameWork: true, isTuned: false, note: GRAPHILE_WORKER},
  {
    program: 'graphile-worker',
    hasSameWork: true,
    isTuned: true,
    note: `${GRAPHILE_WORKER}; localQueue of 100 jobs, completeJobBatchDelay 0, pollInterval 100 ms`,
  },
  {
    program: 'pg-boss',
    hasSameWork: true,
    isTuned: false,
    isSlow: true,
    note: `${PG_BOSS}; localConcurrency for the slots: a job of each of them every 2 s`,
  },
  {
    program: 'pg-boss',
    hasSameWork: true,
    isTuned: true,
    note: `${PG_BOSS}; batchSize 50, burstWhenBatchFull, perJobResults, localConcurrency for the slots`,
  },
]

/**
 * The same as `throughput` beside job queues, which have what ayb has of each refresh: one refresh of a view at once,
 * history and status in the transaction of the REFRESH, and the jobs of a dead worker back within seconds.
 */
export const sameWork: Measurement = {
  name: 'sameWork',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      return await besideQueues(bench, server, {
        queues: QUEUES,
        loads: LOADS,
        suffix: 'same work, Node.js 24',
      })
    } finally {
      await server.stop()
    }
  },
}
