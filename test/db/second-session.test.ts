import {afterEach, beforeAll, beforeEach, expect, test} from 'vitest'
import {type Look, SecondSession} from '../../src/core/refresh/second-session.ts'
import {type Database, Server} from '../../src/db/database.ts'
import type {Session} from '../../src/db/session.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {until} from '../support/until.ts'

const PATIENCE_MS = 10_000

let server: TestDatabase
let db: Database
let second: SecondSession

beforeAll(async () => {
  server = await createTestDatabase()
})

const open = (env: NodeJS.ProcessEnv = {}) =>
  new Server({databaseUrl: server.url, env, applicationName: 'ayb watched'}).open()

beforeEach(async () => {
  db = await open()
  second = new SecondSession(db)
})

afterEach(async () => {
  await second.stop()
  await db.close()
})

const backends = () =>
  server.query<{pid: number}>(`select pid from pg_stat_activity where application_name = 'ayb watched'`)

/** A look that calls `take` each time, and knows on which backends it was taken. */
function lookAt(take: (session: Session) => unknown, pace: Partial<Look> = {}): Look & {pids: number[]} {
  const pids: number[] = []
  return {
    firstMs: 0,
    intervalMs: 5,
    pooledIntervalMs: 5,
    deadlineMs: PATIENCE_MS,
    isPersistent: false,
    ...pace,
    pids,
    async take(session) {
      pids.push(session.pid)
      await take(session)
      return null
    },
  }
}

const untilTaken = ({pids}: {pids: number[]}, times: number) =>
  until(() => pids.length >= times, {what: `${times} looks`, timeoutMs: PATIENCE_MS})

const ask = (session: Session) => session.query('select')

test('there is no session before a look is due, and all looks have the same session', async () => {
  const never = lookAt(ask, {firstMs: 60_000})
  second.add(never)
  expect(await backends()).toHaveLength(1)
  const [one, other] = [lookAt(ask), lookAt(ask, {intervalMs: 15})]
  second.add(one)
  second.add(other)
  await untilTaken(one, 3)
  await untilTaken(other, 3)
  expect(new Set([...one.pids, ...other.pids]).size).toBe(1)
  expect(await backends()).toHaveLength(2)
  expect(never.pids).toEqual([])
  await second.stop()
  await until(async () => (await backends()).length === 1, {
    what: 'the session to be closed',
    timeoutMs: PATIENCE_MS,
  })
})

test('behind a pooler, the session is closed after each look', async () => {
  const pooled = await open({AYB_POOLED: 'on'})
  const own = new SecondSession(pooled)
  const look = lookAt(ask)
  own.add(look)
  await untilTaken(look, 3)
  await own.stop()
  await pooled.close()
  expect(new Set(look.pids).size).toBe(look.pids.length)
})

test('a look that fails is the last, unless it is persistent; other looks go on in another session', async () => {
  const fail = () => {
    throw new Error('this look fails')
  }
  const [failing, persistent, fine] = [lookAt(fail), lookAt(fail, {isPersistent: true}), lookAt(ask)]
  for (const look of [failing, persistent, fine]) second.add(look)
  await untilTaken(persistent, 2)
  await untilTaken(fine, 2)
  expect(failing.pids).toHaveLength(1)
})

test('removing a look gives it time to end; the end of all drops the look that is being taken', async () => {
  let ends = 0
  const slow = lookAt(async (session) => {
    await session.query('select pg_sleep(0.2)')
    ends++
  })
  const remove = second.add(slow)
  await untilTaken(slow, 1)
  await remove(PATIENCE_MS)
  expect(ends).toBe(1)
  const endless = lookAt((session) => session.query('select pg_sleep(60)'))
  const stuck = second.add(endless)
  await untilTaken(endless, 1)
  const removed = stuck(6 * PATIENCE_MS)
  const startedAt = performance.now()
  await second.stop()
  await removed
  expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS / 2)
  expect(slow.pids).toHaveLength(1)
})

const ENDLESS = 'select pg_sleep(60)'
const endless = () => lookAt((session) => session.query(ENDLESS), {deadlineMs: 60_000})

test('a look that stalls keeps no other look waiting', async () => {
  const stalled = endless()
  second.add(stalled)
  await untilTaken(stalled, 1)
  const [one, other] = [lookAt(ask), lookAt(ask)]
  second.add(one)
  second.add(other)
  await untilTaken(one, 3)
  await untilTaken(other, 3)
  expect(new Set([...one.pids, ...other.pids, ...stalled.pids]).size).toBe(2)
  expect(stalled.pids).toHaveLength(1)
})

test('removing a look that stalls drops it, and other looks go on', async () => {
  const stalled = endless()
  const remove = second.add(stalled)
  await untilTaken(stalled, 1)
  const startedAt = performance.now()
  await remove()
  expect(performance.now() - startedAt).toBeLessThan(1000)
  const other = lookAt(ask)
  second.add(other)
  await untilTaken(other, 2)
  expect(stalled.pids).toHaveLength(1)
})
