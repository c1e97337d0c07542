import {beforeAll, expect, test} from 'vitest'
import type {Tuning} from '../../src/lib/records/tuning.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {register, runsOf} from '../support/refresh.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'

const TUNE = '/api/admin/matviews/plain/tune'

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query('create materialized view plain as select 1 as id')
  await register(db, 'plain')
  server = await startServer(db)
  return () => stopServers([server])
})

test('a view is refreshed in several ways, each of which is in its history and in the log', async () => {
  const answer = await server.post(TUNE, {rounds: 2, try: ['work_mem=8MB']})
  expect(answer.status, answer.text).toBe(200)
  const tuned = answer.json<Tuning>()
  expect(tuned).toMatchObject({
    view: {schemaName: 'public', viewName: 'plain'},
    candidates: [
      {mode: 'standard', settings: {}, rounds: 2, status: 'measured', error: null},
      {mode: 'standard', settings: {work_mem: '8MB'}, rounds: 2, medianMs: expect.any(Number)},
    ],
    applied: false,
  })
  expect(await runsOf(db, 'plain')).toHaveLength(4)
  expect(server.logs()).toEqual(
    expect.arrayContaining([
      expect.objectContaining({event: 'refresh.tuning', view: 'public.plain'}),
      expect.objectContaining({event: 'warning', view: 'public.plain', msg: tuned.warnings[0]}),
    ]),
  )
  expect((await server.get('/metrics')).text).toContain(
    'ayb_refreshes_total{view="public.plain",status="success"} 4',
  )
})

test('a setting that a refresh cannot set is refused before anything runs', async () => {
  const before = await runsOf(db, 'plain')
  for (const body of [{try: ['search_path=x']}, {try: ['work_mem']}, {rounds: 1}, {budgetMs: 0}]) {
    const refused = await server.post(TUNE, body)
    expect(refused.json(), JSON.stringify(body)).toMatchObject({code: 'INVALID_ARGUMENT'})
    expect(refused.text).not.toMatch(/--[a-z]/)
  }
  expect((await server.post('/api/admin/matviews/nothing/tune', {})).status).toBe(404)
  expect(await runsOf(db, 'plain')).toEqual(before)
})
