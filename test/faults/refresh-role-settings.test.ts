import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createRefreshDatabase,
  createRefresher,
  errorOf,
  register,
  runsOf,
  serverVersion,
  untilBlocked,
} from '../support/refresh.ts'

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

let db: TestDatabase
let version: number

beforeAll(async () => {
  db = await createRefreshDatabase()
  version = await serverVersion(db)
})

describe('a role with strict limits', () => {
  let strict: {name: string; url: string}

  beforeAll(async () => {
    strict = await createRefresher(db, 'strict', {
      statement_timeout: '1s',
      lock_timeout: '300ms',
      idle_in_transaction_session_timeout: '500ms',
      idle_session_timeout: '500ms',
      default_transaction_isolation: 'serializable',
      default_transaction_deferrable: 'on',
      ...(version >= 170_000 ? {transaction_timeout: '1s'} : {}),
    })
    await db.query('create table nap_length as select 0::float as seconds')
    await db.query('create materialized view nap as select pg_sleep(seconds)::text as slept from nap_length')
    await db.query(`alter materialized view nap owner to ${strict.name}`)
    await db.query(`grant select on nap_length to ${strict.name}`)
    await register(db, 'nap')
  })

  test('still gets a refresh of 2.5 seconds', async () => {
    await db.query('update nap_length set seconds = 2.5')
    const result = await ayb(['matviews', 'refresh', 'nap', '--json'], {url: strict.url})
    await db.query('update nap_length set seconds = 0')
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect((result.json() as {durationMs: number}).durationMs).toBeGreaterThanOrEqual(2500)
  })

  test('waits for a lock for as long as it takes', async () => {
    const reader = await db.connect()
    await reader.query('begin; select * from nap')
    const done = ayb(['matviews', 'refresh', 'nap'], {url: strict.url})
    await untilBlocked(db, 'nap', 700)
    await reader.query('commit')
    expect(await done).toMatchObject({code: 0, stderr: ''})
  })

  test('is still bound by --timeout', async () => {
    await db.query('update nap_length set seconds = 30')
    const result = await ayb(['matviews', 'refresh', 'nap', '--timeout', '200ms', '--json'], {
      url: strict.url,
    })
    await db.query('update nap_length set seconds = 0')
    expect(errorOf(result)).toMatchObject({code: 'TIMEOUT', details: {timeout: 'statement', timeoutMs: 200}})
  })
})

describe('a role that is read-only by default', () => {
  test('is refused, and told which setting it is', async () => {
    const reader = await createRefresher(db, 'reader', {default_transaction_read_only: 'on'})
    const result = await ayb(['matviews', 'refresh', 'leaderboard', '--json'], {url: reader.url})
    expect(result.code).toBe(6)
    expect(errorOf(result)).toMatchObject({
      code: 'READ_ONLY',
      status: 503,
      message: expect.stringContaining('default_transaction_read_only'),
      hint: expect.stringContaining('default_transaction_read_only = off'),
    })
    expect(await runsOf(db, 'leaderboard')).toEqual([])
  })
})

describe('a role with formats of its own', () => {
  test('gets the same documents as any other', async () => {
    const formats = {
      DateStyle: 'German, DMY',
      IntervalStyle: 'sql_standard',
      TimeZone: 'Asia/Kathmandu',
      standard_conforming_strings: 'off',
      backslash_quote: 'on',
      bytea_output: 'escape',
      client_encoding: 'LATIN1',
      extra_float_digits: '-10',
      search_path: ['nowhere'],
    }
    const formatted = await createRefresher(db, 'formatted', formats)
    await db.query(`grant ${formatted.name} to current_user`)
    const name = `Größe \\ o'clock €`
    await db.query(`create materialized view "${name}" as select 1 as id`)
    await db.query(`alter materialized view "${name}" owner to ${formatted.name}`)
    const id = await register(db, name)

    const startedAt = Date.now()
    const result = await ayb(['matviews', 'refresh', id, '--json'], {url: formatted.url})
    expect(result).toMatchObject({code: 0, stderr: ''})
    const document = result.json() as {registration: {lastRefreshAt: string; createdAt: string}}
    expect(document).toMatchObject({
      registration: {
        viewName: name,
        lastRefreshAt: expect.stringMatching(INSTANT),
        lastRefreshStatus: 'success',
      },
      durationMs: expect.any(Number),
    })
    // The clocks of this machine and of the server may differ a little.
    expect(Math.abs(Date.parse(document.registration.lastRefreshAt) - startedAt)).toBeLessThan(60_000)

    for (const command of ['show', 'history']) {
      const [plain, other] = await Promise.all([
        ayb(['matviews', command, id, '--json'], {url: db.url}),
        ayb(['matviews', command, id, '--json'], {url: formatted.url}),
      ])
      expect(other).toMatchObject({code: 0, stderr: ''})
      expect(other.json()).toEqual(plain.json())
    }
  })

  test('gets the same errors and hints', async () => {
    const formatted = await createRefresher(db, 'formatted', {
      standard_conforming_strings: 'off',
      DateStyle: 'SQL, DMY',
    })
    await db.query(`create materialized view plain_names as select id from users`)
    await db.query(`alter materialized view plain_names owner to ${formatted.name}`)
    await register(db, 'plain_names')
    const args = ['matviews', 'refresh', 'plain_names', '--mode', 'concurrent', '--json']
    const result = await ayb(args, {url: formatted.url})
    expect(errorOf(result)).toEqual(errorOf(await ayb(args, {url: db.url})))
  })
})
