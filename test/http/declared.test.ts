import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import type {DeclaredChanges} from '../../src/lib/records/declarations.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'

const ADMIN = '/api/admin'
const AS_YAML = {headers: {'content-type': 'application/yaml'}}
const READ_TOKEN = 'a-read-token-for-tests-0123456789'

const FILE = `version: 1
views:
  public.leaderboard: {mode: concurrent, maxAge: 1h}
schedules:
  nightly: {view: leaderboard, cron: "30 2 * * *", timezone: Europe/Berlin}
`

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query('create materialized view extra as select 1 as id')
  server = await startServer(db, [], {env: {AYB_READ_TOKEN: READ_TOKEN}})
})

afterAll(() => stopServers([server]))

beforeEach(async () => {
  for (const table of ['_ayb_matview_refreshes', '_ayb_matview_policies', '_ayb_job_schedules'])
    await db.query(`delete from ${table}`)
})

const changed = ({changes}: DeclaredChanges) =>
  changes.map(({action, kind, name}) => `${action} ${kind} ${name}`)

async function sent(path: string, text = FILE): Promise<DeclaredChanges> {
  const answer = await server.post(`${ADMIN}/${path}`, text, AS_YAML)
  expect(answer.status, answer.text).toBe(200)
  return answer.json<DeclaredChanges>()
}

describe('a file of views and schedules', () => {
  test('is compared, tried, applied, and changes nothing a second time', async () => {
    const wanted = ['create view public.leaderboard', 'create schedule nightly']
    for (const path of ['diff', 'apply?dryRun=true']) {
      const looked = await sent(path)
      expect(changed(looked)).toEqual(wanted)
      expect(looked.applied).toBe(false)
    }
    const done = await sent('apply')
    expect(changed(done)).toEqual(wanted)
    expect(done).toMatchObject({applied: true, warnings: expect.any(Array)})
    expect(await sent('apply')).toMatchObject({changes: [], applied: true})
    expect(await sent('diff')).toMatchObject({changes: []})
  })

  test('removes what it does not name only if it is to', async () => {
    await register(db, 'extra')
    expect(changed(await sent('apply'))).not.toContain('delete view public.extra')
    expect(changed(await sent('apply?prune=true'))).toEqual(['delete view public.extra'])
  })

  test('is exported as JSON, which can be applied', async () => {
    await sent('apply')
    const exported = await server.get(`${ADMIN}/export`)
    expect(exported.json()).toEqual({
      version: 1,
      views: {'public.leaderboard': {mode: 'concurrent', maxAge: '1h'}},
      schedules: {nightly: {view: 'public.leaderboard', cron: '30 2 * * *', timezone: 'Europe/Berlin'}},
    })
    const again = await server.post(`${ADMIN}/apply`, exported.json())
    expect(again.json()).toMatchObject({changes: [], applied: true})
    expect((await server.get(`${ADMIN}/export?schema=elsewhere`)).json()).toEqual({
      version: 1,
      views: {},
      schedules: {},
    })
  })

  test('that is wrong is refused whole, with the place of each error and no word of a command', async () => {
    const answer = await server.post(
      `${ADMIN}/apply`,
      FILE.replace('mode: concurrent', 'mode: sometimes').replace('leaderboard,', 'missing_view,'),
      AS_YAML,
    )
    expect(answer.status).toBe(400)
    const error = answer.json<{details: {errors: {line: number; message: string}[]}}>()
    expect(error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'the body has an error: nothing was changed',
      details: {errors: [{line: 3, column: expect.any(Number), path: 'views.public.leaderboard.mode'}]},
    })
    const unknown = await server.post(
      `${ADMIN}/diff`,
      FILE.replace('leaderboard:', 'missing_view:').replace('leaderboard,', 'missing_view,'),
      AS_YAML,
    )
    expect(unknown.status).toBe(404)
    expect(unknown.text).not.toMatch(/--[a-z]|\bayb (matviews|schedules)/)
    expect((await server.get(`${ADMIN}/export`)).json()).toMatchObject({views: {}, schedules: {}})
    expect((await server.post(`${ADMIN}/apply`)).json()).toMatchObject({code: 'INVALID_ARGUMENT'})
    const text = await server.post(`${ADMIN}/apply`, FILE, {headers: {'content-type': 'text/csv'}})
    expect(text.status).toBe(415)
    expect(text.json<{hint: string}>().hint).toContain('application/yaml')
  })

  test('is exported without what no file can describe, which a header names', async () => {
    expect((await server.get(`${ADMIN}/export`)).headers.warning).toBeUndefined()
    for (const name of ['n\u00e4chtlich', ...Array.from({length: 200}, (_, i) => `odd ${i}`)]) {
      await insertSchedule(db, name, {})
    }
    const exported = await server.get(`${ADMIN}/export`)
    expect(exported.json()).toMatchObject({schedules: {}})
    const header = String(exported.headers.warning)
    expect(header).toMatch(
      /^299 ayb "the schedule n\\u00e4chtlich is left out: its payload names no view", 299 /,
    )
    expect(header).toMatch(/, 299 ayb "\d+ more: the log of the server has all"$/)
    expect(header.length).toBeLessThan(4200)
  })

  test('that is not UTF-8 is refused, and changes nothing', async () => {
    const latin1 = (text: string) => Buffer.from(text.replaceAll('nightly', 'n\u00e4chtlich'), 'latin1')
    await sent('apply', FILE.replaceAll('nightly', 'n\u00e4chtlich'))
    const before = (await server.get(`${ADMIN}/export`)).text
    const answer = await server.post(`${ADMIN}/apply?prune=true`, latin1(FILE), AS_YAML)
    expect(answer.status, answer.text).toBe(400)
    expect(answer.json()).toMatchObject({code: 'INVALID_ARGUMENT', message: 'the body is not UTF-8'})
    const schedule = {name: 'nightly', cronExpr: '0 1 * * *', payload: {view_name: 'leaderboard'}}
    const asJson = await server.post(`${ADMIN}/schedules`, latin1(JSON.stringify(schedule)))
    expect(asJson.json()).toMatchObject({code: 'INVALID_ARGUMENT', message: 'the body is not UTF-8'})
    expect((await server.get(`${ADMIN}/export`)).text).toBe(before)
  })

  test('is exported with the token that may read, and not applied', async () => {
    expect((await server.get(`${ADMIN}/export`, {token: READ_TOKEN})).status).toBe(200)
    const refused = await server.post(`${ADMIN}/apply`, FILE, {...AS_YAML, token: READ_TOKEN})
    expect(refused.json()).toMatchObject({code: 'READ_ONLY_TOKEN'})
  })
})
