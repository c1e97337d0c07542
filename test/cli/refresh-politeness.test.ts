import {beforeAll, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {createRefreshDatabase, errorOf, register, runsOf} from '../support/refresh.ts'

let db: TestDatabase

beforeAll(async () => {
  db = await createRefreshDatabase()
  await db.query('create table base (id int); create materialized view over_base as select id from base')
  await register(db, 'over_base')
})

const refresh = (...args: string[]) => ayb(['matviews', 'refresh', ...args, '--json'], {url: db.url})

/** A session that holds the relation in a transaction. */
async function hold(statement: string) {
  const client = await db.connect()
  await client.query(`set application_name = 'nightly report'; begin; ${statement}`)
  return client
}

test('a refresh tries again to lock its view, as long as somebody said, and names who holds it', async () => {
  const reader = await hold('select from leaderboard')
  const result = await refresh('leaderboard', '--lock-timeout', '200ms', '--lock-retry-for', '1s')
  await reader.query('commit')
  expect(result.code).toBe(8)
  const error = errorOf(result)
  expect(error).toMatchObject({
    code: 'TIMEOUT',
    details: {
      timeout: 'lock',
      timeoutMs: 200,
      tries: expect.any(Number),
      relation: 'public.leaderboard',
      blockers: [{applicationName: 'nightly report'}],
    },
  })
  expect(error.details?.tries).toBeGreaterThan(1)
  expect(error.message).toMatch(
    /^lock timeout: the refresh of public\.leaderboard tried \d+ times in .* to get a lock on public\.leaderboard, held by pid \d+ \(nightly report, /,
  )
  const runs = await runsOf(db, 'leaderboard')
  expect(runs).toMatchObject([{status: 'error', error: error.message}])
  expect(runs[0]?.lock_wait_ms).toBeGreaterThanOrEqual(400)
  expect(runs[0]?.lock_wait_ms).toBeGreaterThan(runs[0]?.duration_ms as number)
})

test('a refresh that waits for a table below its view ends at once, and names the table', async () => {
  const loader = await hold('lock table base')
  const result = await refresh('over_base', '--lock-timeout', '400ms', '--lock-retry-for', '1m')
  await loader.query('commit')
  expect(errorOf(result)).toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringMatching(
      /^lock timeout: the refresh of public\.over_base waited 400 ms for a lock on public\.base, held by pid \d+ \(nightly report, /,
    ),
    details: {relation: 'public.base', tries: 1},
  })
  expect(await runsOf(db, 'over_base')).toMatchObject([{status: 'error', lock_wait_ms: 0}])
})
