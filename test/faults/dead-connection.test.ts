import {beforeAll, expect, test} from 'vitest'
import {DeadConnections} from '../../src/core/refresh/dead-connection.ts'
import {takeRefreshLock} from '../../src/db/locks/refresh-lock.ts'
import type {TestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'
import {createRefreshDatabase} from '../support/refresh.ts'
import {until} from '../support/until.ts'

const LEADERBOARD = {schemaName: 'public', viewName: 'leaderboard'}

let server: TestDatabase

beforeAll(async () => {
  server = await createRefreshDatabase()
})

test('a transaction that has ended is awaited in vain after two seconds, however fast looks follow each other', async () => {
  const [pooled, watcher] = [
    await openDatabase(server, {env: {AYB_POOLED: 'on'}}),
    await openDatabase(server),
  ]
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
    {what: 'the connection to be found', timeoutMs: 30_000},
  )
  expect(performance.now() - endedAt).toBeGreaterThanOrEqual(2000)
  expect(looks).toBeGreaterThan(3)
  expect(silent).toEqual({...refresh, pid: lock.pid})
})
