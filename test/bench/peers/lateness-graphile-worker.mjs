import {Logger, makeWorkerUtils, run} from 'graphile-worker'
import {begin, planJobs, refresh, settings} from './lateness.mjs'

const {slots, isTuned} = settings

const utils = await makeWorkerUtils({connectionString: process.env.DATABASE_URL})
await utils.migrate()
const jobs = await planJobs()
await utils.addJobs(jobs.map(({dueAt, task}) => ({identifier: 'refresh', payload: task, runAt: dueAt})))
await utils.release()
await run({
  connectionString: process.env.DATABASE_URL,
  concurrency: slots,
  maxPoolSize: Math.max(10, slots + 2),
  noHandleSignals: true,
  logger: new Logger(() => () => {}),
  taskList: {refresh},
  crontab: '',
  ...(isTuned ? {pollInterval: 10} : {}),
})
await begin(jobs)
