import {PgBoss} from 'pg-boss'
import {begin, planJobs, refresh, settings} from './lateness.mjs'

const {slots, isTuned} = settings
const QUEUE = 'refresh'

// As often as it can be made to look, and enough jobs at each look for those that have become due since.
const TUNED = {pollingIntervalSeconds: 0.5, batchSize: 5}

const boss = new PgBoss({connectionString: process.env.DATABASE_URL, max: Math.max(10, slots + 2)})
boss.on('error', (error) => process.stderr.write(`${error.stack}\n`))
await boss.start()
await boss.createQueue(QUEUE)
const jobs = await planJobs()
await boss.insert(
  QUEUE,
  jobs.map(({dueAt, task}) => ({data: task, startAfter: dueAt})),
)
await boss.work(QUEUE, {localConcurrency: slots, ...(isTuned ? TUNED : {})}, async (batch) => {
  for (const {data} of batch) await refresh(data)
})
await begin(jobs)
