import {beforeAll, describe, expect, test} from 'vitest'
import type {Registered, RegistrationDocument} from '../../src/lib/records/registrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf, REGISTRATION_KEYS} from '../support/documents.ts'

const update = (db: TestDatabase, view: string, mode: string) =>
  documentOf<RegistrationDocument>(['matviews', 'update', view, '--mode', mode], db)

describe('ayb matviews update', () => {
  let db: TestDatabase
  let id: string

  beforeAll(async () => {
    db = await createTestDatabase()
    const {registration} = await documentOf<Registered>(['matviews', 'register', 'leaderboard'], db)
    id = registration.id
  })

  const modeOf = async (view: string) =>
    db.query('select refresh_mode from _ayb_matview_refreshes where view_name = $1', [view])

  test('refuses concurrent mode without a unique index, with the statement that makes one', async () => {
    const line = ['matviews', 'update', id, '--mode', 'concurrent']
    const failure = await failureOf(line, 'UNIQUE_INDEX_REQUIRED', db)
    expect(failure).toMatchObject({
      status: 409,
      message: expect.stringContaining('public.leaderboard has no unique index'),
      hint: expect.stringMatching(/^CREATE UNIQUE INDEX ON public\.leaderboard \(id\);/),
    })
    expect(await modeOf('leaderboard')).toEqual([{refresh_mode: 'standard'}])
    await db.query(failure.hint ?? '')
    expect((await update(db, id, 'concurrent')).registration.refreshMode).toBe('concurrent')
  })

  test('answers with the registration as it is afterwards', async () => {
    const document = await update(db, id, 'standard')
    expect(keysOf(document)).toEqual(['registration', 'warnings'])
    expect(keysOf(document.registration)).toEqual(REGISTRATION_KEYS)
    expect(document).toMatchObject({registration: {id, refreshMode: 'standard'}, warnings: []})
    const {createdAt, updatedAt} = document.registration
    expect(Date.parse(updatedAt)).toBeGreaterThan(Date.parse(createdAt))
    expect(await modeOf('leaderboard')).toEqual([{refresh_mode: 'standard'}])
    expect(await ayb(['matviews', 'update', 'leaderboard', '--mode', 'standard'], db)).toMatchObject({
      code: 0,
      stdout: 'Updated public.leaderboard: standard mode\n',
      stderr: '',
    })
  })

  test('refuses concurrent mode for a view that was never populated', async () => {
    await db.query('create materialized view empty as select id from users with no data')
    await db.query('create unique index on empty (id)')
    await documentOf(['matviews', 'register', 'public.empty'], db)
    const line = ['matviews', 'update', 'empty', '--mode', 'concurrent']
    expect(await failureOf(line, 'NOT_POPULATED', db)).toMatchObject({
      status: 409,
      hint: 'ayb matviews refresh public.empty --mode standard',
    })
    expect(await modeOf('empty')).toEqual([{refresh_mode: 'standard'}])
  })

  test('finds out that the view is gone where the mode depends on it', async () => {
    await db.query('create materialized view gone as select 1 as one')
    await documentOf(['matviews', 'register', 'gone'], db)
    await db.query('drop materialized view gone')
    await failureOf(['matviews', 'update', 'gone', '--mode', 'concurrent'], 'VIEW_NOT_FOUND', db)
    expect((await update(db, 'gone', 'standard')).registration.viewName).toBe('gone')
  })
})
