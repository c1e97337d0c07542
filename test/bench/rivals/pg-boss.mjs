import {drainWithPgBoss} from '../peers/drain-pg-boss.mjs'
import {refreshView} from './same-work.mjs'

// A worker that has not sent a heartbeat for ten seconds, the least that pg-boss takes, is dead; the next look, every
// two seconds, gives its jobs back.
const INSTANCE = {superviseIntervalSeconds: 2, monitorIntervalSeconds: 2}
const QUEUE = {heartbeatSeconds: 10, retryLimit: 25, retryDelay: 1}

/**
 * Each job is a transaction of its own, and succeeds or fails alone. With `transactional`, a batch would be one
 * transaction, which keeps the locks of all its views to its end; and batches of one job are half as fast.
 */
async function runBatch(jobs, run) {
  const results = []
  for (const job of jobs) results.push(await resultOf(job, run))
  return results
}

const resultOf = (job, run) =>
  run(job).then(
    () => ({id: job.id, status: 'completed'}),
    ({message}) => ({id: job.id, status: 'failed', output: {message}}),
  )

await drainWithPgBoss(refreshView, {
  instance: INSTANCE,
  queue: QUEUE,
  worker: {perJobResults: true},
  runBatch,
})
