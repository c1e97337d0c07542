import {PgBoss} from 'pg-boss'
import {chooseDue, counted, settings, startClock, views} from './drain.mjs'

const {slots, isTuned} = settings
const QUEUE = 'refresh'

// Each of the workers takes 50 jobs, runs them one after the other, and takes the next 50 at once. From 10 to 125 a
// size is as good as another.
const TUNED = {batchSize: 50, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5}

/**
 * Has pg-boss run `refresh(view, jobId)` for each job, with further options of the instance, the queue and the
 * workers. `runBatch(jobs, run)` is the handler, without which the first failure fails the batch.
 */
export async function drainWithPgBoss(
  refresh,
  {instance = {}, queue = {}, worker = {}, runBatch = runInTurn} = {},
) {
  const run = counted(refresh)
  const boss = new PgBoss({
    connectionString: process.env.DATABASE_URL,
    max: Math.max(10, slots + 2),
    ...instance,
  })
  boss.on('error', (error) => process.stderr.write(`${error.stack}\n`))
  await boss.start()
  await boss.createQueue(QUEUE, queue)
  const due = await chooseDue()
  await boss.insert(
    QUEUE,
    views.map((view) => ({data: {view}, startAfter: due})),
  )
  await boss.work(QUEUE, {localConcurrency: slots, ...(isTuned ? TUNED : {}), ...worker}, (jobs) =>
    runBatch(jobs, ({id, data}) => run(data.view, id)),
  )
  await startClock()
}

async function runInTurn(jobs, run) {
  for (const job of jobs) await run(job)
}
