import {expect, onTestFinished, test} from 'vitest'
import {testNotice} from '../../src/core/notices/documents.ts'
import {type Database, Server} from '../../src/db/database.ts'
import {addNotice, claimNotices, deleteOldNotices, moveNotices, settleNotice} from '../../src/db/notices.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {register} from '../support/refresh.ts'

async function open({url}: TestDatabase): Promise<Database> {
  const db = await new Server({databaseUrl: url, env: {}, applicationName: 'test'}).open()
  onTestFinished(() => db.close())
  return db
}

let ids = 0
const add = (db: Database, viewName: string, place: number) =>
  addNotice(db, {
    id: `00000000-0000-0000-0000-${String(++ids).padStart(12, '0')}`,
    schemaName: 'public',
    viewName,
    place,
    notice: testNotice(new Date()),
  })

const claim = (db: Database, limit = 10) => claimNotices(db, {limit, leaseMs: 60_000})

test('a notice is due once, after the older ones of its view, and again when its try has failed', async () => {
  const server = await createTestDatabase({hasTables: true})
  const [db, other] = [await open(server), await open(server)]
  expect(await claim(db)).toEqual({claimed: [], nextInMs: null})
  expect(await add(db, 'a', 1)).toBe(true)
  // Somebody else has told of the same change.
  expect(await add(other, 'a', 1)).toBe(false)
  await add(db, 'a', 2)
  await add(db, 'b', 1)
  const [first, second] = await Promise.all([claim(db, 1), claim(other, 1)])
  expect([...first.claimed, ...second.claimed].map(({viewName}) => viewName).sort()).toEqual(['a', 'b'])
  const rest = await claim(db)
  expect(rest.claimed).toEqual([])
  expect(rest.nextInMs).toBeGreaterThan(50_000)

  const a = [...first.claimed, ...second.claimed].find(({viewName}) => viewName === 'a')
  if (!a) throw new Error('nobody has claimed it')
  const failed = {delivered: ['webhook'] as const, error: 'away', retryMs: 0}
  expect(await settleNotice(db, a, failed)).toBe('retried')
  const [again] = (await claim(db)).claimed
  expect(again).toMatchObject({id: a.id, attempts: 2, delivered: ['webhook']})
  // The first try belongs to nobody any more.
  expect(await settleNotice(db, a, {...failed, error: null})).toBe('lost')
  expect(await settleNotice(db, again ?? a, {...failed, error: null})).toBe('sent')
  expect((await claim(db)).claimed).toMatchObject([{viewName: 'a', attempts: 1}])
})

test('the error of a try is written down in a database that cannot store all its characters', async () => {
  const db = await open(await createTestDatabase({encoding: 'LATIN1'}))
  await db.prepareTables()
  await add(db, 'a', 1)
  const [notice] = (await claim(db)).claimed
  if (!notice) throw new Error('nothing is claimed')
  expect(await settleNotice(db, notice, {delivered: [], error: 'said: …', retryMs: 0})).toBe('retried')
  expect((await claim(db)).claimed).toMatchObject([{attempts: 2, lastError: 'said: ?', isOver: false}])
})

test('a notice whose tries are never written down is given up after an hour', async () => {
  const server = await createTestDatabase({hasTables: true})
  const db = await open(server)
  await add(db, 'a', 1)
  await add(db, 'a', 2)
  const claimLater = async (tries: number, interval: string) => {
    await server.query(
      `update _ayb_notices set attempts = $1, first_try_at = now() - $2::interval, next_try_at = now()
        where place = 1`,
      [tries, interval],
    )
    return (await claim(db)).claimed
  }
  // A worker that was away for a while still has a try.
  expect(await claimLater(5, '9 hours')).toMatchObject([{attempts: 6, isOver: false}])
  expect(await claimLater(60, '59 min')).toMatchObject([{attempts: 61, isOver: false}])
  expect(await claimLater(60, '61 min')).toMatchObject([{attempts: 61, isOver: true, lastError: null}])
  expect((await claim(db)).claimed).toMatchObject([{attempts: 1, isOver: false}])
})

test('old notices go, except the last of each view, and those of views that are not registered', async () => {
  const server = await createTestDatabase({hasTables: true})
  const db = await open(server)
  await register(server, 'leaderboard')
  await add(db, 'gone', 1)
  for (const place of [1, 2, 3]) await add(db, 'leaderboard', place)
  await server.query(`update _ayb_notices set ended_at = now() - interval '8 days' where place < 3`)
  await deleteOldNotices(db, 10)
  const left = () => server.query('select view_name, place::int from _ayb_notices order by 1, 2')
  expect(await left()).toEqual([{view_name: 'leaderboard', place: 3}])
  await add(db, 'renamed', 1)
  const [from, to] = ['leaderboard', 'renamed'].map((viewName) => ({schemaName: 'public', viewName}))
  if (from && to) await moveNotices(db, from, to)
  expect(await left()).toEqual([{view_name: 'renamed', place: 3}])
})
