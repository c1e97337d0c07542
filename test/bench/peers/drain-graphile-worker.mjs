import {Logger, makeWorkerUtils, run} from 'graphile-worker'
import {chooseDue, counted, settings, startClock, views} from './drain.mjs'

const {slots, isTuned} = settings

// Jobs leave the database, and are finished in it, many at a time. From 10 to 500 a size is as good as another.
const TUNED = {localQueue: {size: 100}, completeJobBatchDelay: 0}

/** Has graphile-worker run `refresh(view, jobId)` for each job; `events` tells what its workers do. */
export async function drainWithGraphileWorker(refresh, {events} = {}) {
  const task = counted(refresh)
  await run({
    connectionString: process.env.DATABASE_URL,
    concurrency: slots,
    maxPoolSize: Math.max(10, slots + 2),
    noHandleSignals: true,
    logger: new Logger(() => () => {}),
    taskList: {refresh: ({view}, {job}) => task(view, job.id)},
    crontab: '',
    events,
    ...(isTuned ? {pollInterval: 100, preset: {worker: TUNED}} : {}),
  })
  const due = await chooseDue()
  const utils = await makeWorkerUtils({connectionString: process.env.DATABASE_URL})
  await utils.addJobs(views.map((view) => ({identifier: 'refresh', payload: {view}, runAt: due})))
  await utils.release()
  await startClock()
}
