import {PgBoss} from 'pg-boss'
import {chooseDue, refresh, settings, startClock, views} from './drain.mjs'

const {slots, isTuned} = settings
const QUEUE = 'refresh'

// Each of the workers takes 50 jobs, runs them one after the other, and takes the next 50 at once. From 10 to 125 a
// size is as good as another.
const TUNED = {batchSize: 50, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5}

const boss = new PgBoss({connectionString: process.env.DATABASE_URL, max: Math.max(10, slots + 2)})
boss.on('error', (error) => process.stderr.write(`${error.stack}\n`))
await boss.start()
await boss.createQueue(QUEUE)
const due = await chooseDue()
await boss.insert(
  QUEUE,
  views.map((view) => ({data: {view}, startAfter: due})),
)
await boss.work(QUEUE, {localConcurrency: slots, ...(isTuned ? TUNED : {})}, async (jobs) => {
  for (const {data} of jobs) await refresh(data.view)
})
await startClock()
