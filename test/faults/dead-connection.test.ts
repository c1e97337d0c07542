import {afterAll, beforeAll, expect, test} from 'vitest'
import {DeadConnections} from '../../src/core/refresh/dead-connection.ts'
import {type Database, Server} from '../../src/db/database.ts'
import {takeRefreshLock} from '../../src/db/locks/refresh-lock.ts'
import type {TestDatabase} from '../support/database.ts'
import {createRefreshDatabase} from '../support/refresh.ts'
import {until} from '../support/until.ts'

const LEADERBOARD = {schemaName: 'public', viewName: 'leaderboard'}

const open: Database[] = []
let server: TestDatabase

beforeAll(async () => {
  server = await createRefreshDatabase()
})

afterAll(async () => {
  for (const db of open) await db.close()
})

async function openDatabase(env: NodeJS.ProcessEnv = {}): Promise<Database> {
  const db = await new Server({databaseUrl: server.url, env, applicationName: 'ayb test'}).open()
  open.push(db)
  return db
}

test('a transaction that has ended is awaited in vain after two seconds, however fast looks follow each other', async () => {
  const [pooled, watcher] = [await openDatabase({AYB_POOLED: 'on'}), await openDatabase()]
  const lock = await takeRefreshLock(pooled.session, LEADERBOARD)
  if (!lock?.isOfTransaction) throw new Error('there is no such lock')
  const connections = new DeadConnections()
  const refresh = {session: pooled.session, view: LEADERBOARD, lock}
  const look = () => connections.find(watcher.session, [refresh])
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
  expect(silent).toEqual({...refresh, pid: lock.pid})
})
