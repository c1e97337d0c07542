import {afterEach, expect, test, vi} from 'vitest'
import {Session} from '../../src/db/session.ts'
import {databaseIdentity, writableIdentity} from '../../src/db/states/identity.ts'
import {createTestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

test('a session asks once for its rights and for its database, whoever asks at the same time', async () => {
  const db = await openDatabase(await createTestDatabase({hasTables: true}))
  const sent = vi.spyOn(Session.prototype, 'query')
  const [identity, ...others] = await Promise.all([
    writableIdentity(db),
    databaseIdentity(db),
    writableIdentity(db.within(5000)),
  ])
  expect(identity).toMatchObject({systemIdentifier: expect.stringMatching(/^\d+$/)})
  expect(others).toEqual([identity, identity])
  expect(await writableIdentity(db)).toEqual(identity)
  // Two rights, and the database.
  expect(sent).toHaveBeenCalledTimes(3)
})

test('a session asks again after an answer that failed', async () => {
  const db = await openDatabase(await createTestDatabase({hasTables: true}))
  const {session} = db
  await session.begin()
  await expect(session.query('select 1 / 0')).rejects.toThrow()
  await expect(writableIdentity(db)).rejects.toThrow()
  await session.rollback()
  expect(await writableIdentity(db)).not.toBeNull()
})
