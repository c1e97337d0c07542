import {afterAll, describe, test} from 'vitest'
import type {ScheduleRun} from '../../src/lib/records/schedules.ts'
import {createChain, skipChain, tellsChanges} from '../support/changes.ts'
import {createTestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {createSchedule, insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {type RunningWorker, startWorker, stopWorkers} from '../support/worker.ts'

const tells = await tellsChanges(await createTestDatabase({template: false}))
/** What is found by a poll of these alone is found too late for any test here. */
const SELDOM = ['--poll-interval', '10m']
const workers: RunningWorker[] = []

async function startSeldom(...args: Parameters<typeof startWorker>) {
  const worker = await startWorker(...args)
  workers.push(worker)
  return worker
}

afterAll(() => stopWorkers(workers))

describe.concurrent('a worker that polls seldom', {timeout: 90_000}, () => {
  test.runIf(tells)('takes the second look when that is due', async () => {
    const db = await createChain()
    await skipChain(db)
    const {id} = await createSchedule(db, 'nightly', {view: 'sales'})
    await startSeldom(db, SELDOM)
    const run = async () => (await documentOf<ScheduleRun>(['schedules', 'run', id], db)).job.id
    await untilState(db, await run(), 'completed')
    await untilState(db, await run(), 'completed')
  })

  test('refreshes a view again for a second job, although both were claimed at once', async () => {
    const db = await createTestDatabase({hasTables: true})
    const jobs = [
      await insertJob(db, {view_name: 'leaderboard'}),
      await insertJob(db, {view_name: 'leaderboard'}),
    ]
    await startSeldom(db, SELDOM)
    for (const id of jobs) await untilState(db, id, 'completed')
  })

  test('knows the next due times of schedules that were due', async () => {
    const db = await createTestDatabase({hasTables: true})
    const schedule = {view: 'leaderboard', cron: '* * * * * *', nextRunAt: 'now()'}
    await insertSchedule(db, 'each second', schedule)
    const jittered = await insertSchedule(db, 'each minute', {...schedule, cron: '* * * * *'})
    await db.query(`insert into _ayb_schedule_policies (schedule_id, jitter_ms) values ('${jittered}', 4000)`)
    await startSeldom(db, SELDOM)
    const ended = () =>
      db.query<{count: number}>(
        `select count(*)::int as count from _ayb_jobs where state = 'completed' group by schedule_id having count(*) >= 3`,
      )
    await until(async () => (await ended()).length > 0, {what: 'three runs', timeoutMs: PATIENCE_MS})
    await until(
      async () =>
        (await db.query(`select from _ayb_jobs where state = 'completed' and schedule_id = '${jittered}'`))
          .length > 0,
      {what: 'the run that began later', timeoutMs: PATIENCE_MS},
    )
  })
})
