import pg from 'pg'
import {expect, test} from 'vitest'
import {Retention} from '../../src/core/worker/retention.ts'
import {Server} from '../../src/db/database.ts'
import type {WorkerEvent} from '../../src/lib/worker-events.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob} from '../support/jobs.ts'
import {untilBlocked} from '../support/refresh.ts'

test('a worker that stops in the middle of a batch tells what the batch deleted', async () => {
  const server = await createTestDatabase({hasTables: true})
  const OLD = '2020-01-01'
  await insertJob(
    server,
    {view_name: 'leaderboard'},
    {state: 'completed', completed_at: OLD, updated_at: OLD},
  )
  const db = await new Server({databaseUrl: server.url, env: {}, applicationName: 'test'}).open()
  const locker = new pg.Client({connectionString: server.url})
  await locker.connect()
  const events: WorkerEvent[] = []
  const retention = new Retention(
    1000,
    {current: db},
    (event) => events.push(event),
    () => {},
  )
  await locker.query('begin; lock table _ayb_jobs in share mode')
  retention.start()
  await untilBlocked(server, '_ayb_jobs')
  const stopped = retention.stop()
  await locker.query('rollback')
  await stopped
  expect(events).toEqual([{type: 'pruned', jobs: 1, runs: 0}])
  await locker.end()
  await db.close()
})
