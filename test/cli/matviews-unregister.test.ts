import {beforeAll, describe, expect, test} from 'vitest'
import type {Registered, RegistrationDocument} from '../../src/lib/records.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf, REGISTRATION_KEYS} from '../support/documents.ts'

describe('ayb matviews unregister', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
  })

  const register = async () =>
    (await documentOf<Registered>(['matviews', 'register', 'leaderboard'], db)).registration

  const unregister = (view: string) => documentOf<RegistrationDocument>(['matviews', 'unregister', view], db)

  test('answers with the registration as it was, and leaves the view and its history', async () => {
    const {id} = await register()
    await documentOf(['matviews', 'refresh', id], db)
    const document = await unregister(id)
    expect(keysOf(document)).toEqual(['registration', 'warnings'])
    expect(keysOf(document.registration)).toEqual(REGISTRATION_KEYS)
    expect(document).toMatchObject({registration: {id, lastRefreshStatus: 'success'}, warnings: []})
    expect(await db.query('select id from _ayb_matview_refreshes')).toEqual([])
    expect(await db.query('select status from _ayb_matview_refresh_runs')).toEqual([{status: 'success'}])
    expect(await db.query('select count(*)::int as n from leaderboard')).toEqual([{n: 50}])
  })

  test('forgets a view once', async () => {
    await failureOf(['matviews', 'unregister', 'leaderboard'], 'NOT_REGISTERED', db)
    const first = await register()
    expect((await unregister('public.leaderboard')).registration.id).toBe(first.id)
    await failureOf(['matviews', 'unregister', first.id], 'NOT_REGISTERED', db)
    expect((await register()).id).not.toBe(first.id)
  })

  test('says so on one line, also for a view that was dropped', async () => {
    await db.query('drop materialized view leaderboard')
    expect(await ayb(['matviews', 'unregister', 'leaderboard'], db)).toMatchObject({
      code: 0,
      stdout: 'Unregistered public.leaderboard\n',
      stderr: '',
    })
  })
})
