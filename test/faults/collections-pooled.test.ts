import pg from 'pg'
import {expect, test} from 'vitest'
import {openAs, refusalOf, textOf} from '../support/collections.ts'
import {createTestDatabase} from '../support/database.ts'
import {startPgBouncer} from '../support/pgbouncer.ts'

const SETTINGS = ['search_path', 'timezone', 'statement_timeout', 'lock_timeout', 'transaction_read_only']

test('views are read through PgBouncer in transaction mode, which nothing is left behind in', {
  timeout: 60_000,
}, async () => {
  const db = await createTestDatabase()
  const pooler = await startPgBouncer(db, {poolMode: 'transaction', poolSize: 1})
  const other = new pg.Client({connectionString: pooler.url})
  await other.connect()
  const state = async () =>
    (await other.query('select current_setting(name) as value from unnest($1::text[]) name', [SETTINGS])).rows
  const before = await state()
  const [direct, one, two] = await Promise.all([openAs(db.url), openAs(pooler.url), openAs(pooler.url)])
  expect([direct, one, two].map(({session}) => session.isPooled)).toEqual([false, true, true])

  const query = {sort: '-total_minutes,name', 'workout_count[gte]': '5', perPage: '20'}
  const text = await textOf(direct, 'leaderboard', query)
  // Both have the same server connection, by turns.
  for (let round = 1; round <= 5; round += 1) {
    const [first, second, meanwhile] = await Promise.all([
      textOf(one, 'leaderboard', query),
      textOf(two, 'leaderboard', query),
      state(),
    ])
    expect(first).toBe(text)
    expect(second).toBe(text)
    expect(meanwhile).toEqual(before)
    expect(await refusalOf(one, 'leaderboard', {id: 'x'})).toMatchObject({code: 'INVALID_ARGUMENT'})
    expect(await refusalOf(two, 'users')).toMatchObject({code: 'VIEW_NOT_FOUND'})
    expect(await state()).toEqual(before)
  }
  await Promise.all([direct, one, two].map((opened) => opened.close()))
  await other.end()
})
