import {setTimeout as sleep} from 'node:timers/promises'
import {beforeAll, expect, test} from 'vitest'
import {refresh} from '../../src/core/refresh/by-hand.ts'
import {wantedSettings} from '../../src/core/refresh/request.ts'
import type {Database} from '../../src/db/database.ts'
import type {TestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'
import {createRefreshDatabase, register, runsOf} from '../support/refresh.ts'

const OPTIONS = {settings: wantedSettings(), signal: new AbortController().signal}
const named = (viewName: string) => ({schemaName: 'public', viewName})

let server: TestDatabase
let db: Database

beforeAll(async () => {
  server = await createRefreshDatabase()
  db = await openDatabase(server)
})

test('a warning of one refresh is not told with the next one on the same session', async () => {
  await server.query(
    `create function grumble() returns int language plpgsql as $$ begin raise warning 'not again'; return 1; end $$`,
  )
  await server.query('create materialized view grumbling as select public.grumble() with no data')
  await register(server, 'grumbling')
  const first = await refresh(db, named('grumbling'), OPTIONS)
  expect(first.warnings).toEqual([expect.stringContaining('not again')])
  expect((await refresh(db, named('leaderboard'), OPTIONS)).warnings).toEqual([])
})

test('a refresh tells its listener what happens, and waits at its end for the listener', async () => {
  const told: string[] = []
  const onEvent = async ({type}: {type: string}) => {
    told.push(`${type} begins`)
    await sleep(500)
    told.push(`${type} ends`)
  }
  await refresh(db, named('leaderboard'), {...OPTIONS, onEvent})
  expect(told).toEqual(['refreshing begins', 'refreshing ends', 'ended begins', 'ended ends'])
})

test('a refresh that fails waits for its listener, too', async () => {
  await server.query('create materialized view failing as select 1 / 0 as ratio with no data')
  await register(server, 'failing')
  let hasHeard = false
  const onEvent = async () => {
    await sleep(500)
    hasHeard = true
  }
  await expect(refresh(db, named('failing'), {...OPTIONS, onEvent})).rejects.toMatchObject({
    code: 'REFRESH_FAILED',
  })
  expect(hasHeard).toBe(true)
  expect(await runsOf(server, 'failing')).toMatchObject([{status: 'error'}])
})

test('a refresh that is committed is a success, whatever its listener fails with', async () => {
  const onEvent = async () => {
    throw new Error('no room for a notice')
  }
  const {warnings} = await refresh(db, named('leaderboard'), {...OPTIONS, onEvent})
  expect(warnings).toContain('no room for a notice')
})
