import {afterAll, beforeAll, expect, test} from 'vitest'
import {Silence} from '../../src/core/worker/silence.ts'
import {Database} from '../../src/db/database.ts'
import {takeRefreshLock} from '../../src/db/locks/refresh-lock.ts'
import type {ClaimedJob} from '../../src/db/queue/claims.ts'
import {type TestDatabase, until} from '../support/database.ts'
import {createRefreshDatabase} from '../support/refresh.ts'

const LEADERBOARD = {schemaName: 'public', viewName: 'leaderboard'}
const JOB: ClaimedJob = {
  id: '11111111-1111-4111-8111-111111111111',
  workerId: 'ayb:00000001deadbeef:test:1',
  attempt: 1,
  token: '2026-01-01T00:00:00.000000Z',
  payload: {view_name: 'leaderboard'},
  maxAttempts: 3,
  scheduleId: null,
  latenessMs: 0,
  registration: null,
  pastTries: null,
}

const open: Database[] = []
let server: TestDatabase

beforeAll(async () => {
  server = await createRefreshDatabase()
})

afterAll(async () => {
  for (const db of open) await db.close()
})

async function openDatabase(env: NodeJS.ProcessEnv = {}): Promise<Database> {
  const db = await Database.open({databaseUrl: server.url, env, applicationName: 'ayb test'})
  open.push(db)
  return db
}

test('a transaction that has ended is awaited in vain after two seconds, however fast looks follow each other', async () => {
  const [pooled, watcher] = [await openDatabase({AYB_POOLED: 'on'}), await openDatabase()]
  const lock = await takeRefreshLock(pooled.session, LEADERBOARD)
  if (!lock?.isOfTransaction) throw new Error('there is no such lock')
  const silence = new Silence()
  const look = () => silence.find(watcher.session, [{db: pooled, job: JOB, lock}])
  expect(await look()).toEqual([])
  await server.query('select pg_terminate_backend($1, 5000)', [lock.pid])
  expect(await server.query(`select from pg_locks where pid = $1`, [lock.pid])).toEqual([])
  const endedAt = performance.now()
  let looks = 0
  const silent = await until(
    async () => {
      looks++
      const [found] = await look()
      return found
    },
    {what: 'it to be found', timeoutMs: 30_000},
  )
  expect(performance.now() - endedAt).toBeGreaterThanOrEqual(2000)
  expect(looks).toBeGreaterThan(3)
  expect(silent).toEqual({job: JOB, db: pooled, pid: lock.pid})
})
