import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import type {Refreshed} from '../../src/lib/records/refreshes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {serverVersion} from '../support/refresh.ts'

/** A tablespace belongs to the whole server. */
const TABLESPACE = `ayb_test_${process.pid}_${Date.now()}`

let db: TestDatabase
let role: {name: string; url: string}
let hasTablespace: boolean

beforeAll(async () => {
  db = await createTestDatabase()
  role = await db.createRole('limited')
  // Until 14, a tablespace needs a folder of its own.
  hasTablespace = (await serverVersion(db)) >= 150_000
  if (!hasTablespace) return
  const admin = await db.connect()
  await admin.query('set allow_in_place_tablespaces = on')
  await admin.query(`create tablespace ${TABLESPACE} location ''`)
  await documentOf(['matviews', 'register', 'leaderboard'], db)
  await db.query(`alter materialized view leaderboard owner to ${role.name};
    grant select on users, workouts to ${role.name};
    grant select, insert, update, delete on all tables in schema public to ${role.name}`)
})

afterAll(async () => {
  if (hasTablespace) await db.query(`drop tablespace ${TABLESPACE}`)
})

describe('a tablespace that the role may not use', () => {
  const SETTING = `temp_tablespaces=${TABLESPACE}`

  test('is refused when somebody sets it', async ({skip}) => {
    if (!hasTablespace) return skip()
    for (const command of ['update', 'refresh']) {
      const failure = await failureOf(
        ['matviews', command, 'leaderboard', '--set', SETTING],
        'PERMISSION_DENIED',
        role,
      )
      expect(failure.message).toContain(`permission denied for tablespace ${TABLESPACE}`)
    }
  })

  test('is left out of a refresh by that role, and used from then on that the role may', async ({skip}) => {
    if (!hasTablespace) return skip()
    await documentOf(['matviews', 'update', 'leaderboard', '--set', SETTING, '--set', 'work_mem=8MB'], db)
    const refreshed = await documentOf<Refreshed>(['matviews', 'refresh', 'leaderboard'], role)
    expect(refreshed.warnings).toEqual([
      `the refresh of public.leaderboard ran without temp_tablespaces = "${TABLESPACE}", ` +
        `which the server refuses: permission denied for tablespace ${TABLESPACE}`,
    ])
    await db.query(`grant create on tablespace ${TABLESPACE} to ${role.name}`)
    expect((await documentOf<Refreshed>(['matviews', 'refresh', 'leaderboard'], role)).warnings).toEqual([])
    expect(await db.query('select settings from _ayb_matview_refresh_runs order by started_at')).toEqual([
      {settings: {work_mem: '8MB'}},
      {settings: {work_mem: '8MB', temp_tablespaces: TABLESPACE}},
    ])
    await db.query(`revoke create on tablespace ${TABLESPACE} from ${role.name}`)
  })
})
