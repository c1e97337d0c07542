import {expect, test} from 'vitest'
import {openAs, textOf} from '../support/collections.ts'
import {createTestDatabase} from '../support/database.ts'
import {startPgBouncer} from '../support/pgbouncer.ts'
import {startServer, stopServers} from '../support/serve.ts'

const PATH = '/api/collections/leaderboard'

test('views are not read through PgBouncer in transaction mode, and a login of their own past it reads them', {
  timeout: 90_000,
}, async () => {
  const db = await createTestDatabase()
  const pooler = await startPgBouncer(db, {poolMode: 'transaction'})
  const server = await startServer({url: pooler.url}, ['--public-collections'])
  await server.post('/api/admin/matviews', {viewName: 'leaderboard'})
  const known = await server.get(PATH)
  expect(known.status).toBe(503)
  expect(known.json()).toMatchObject({
    message: expect.stringContaining('does not read views through a pooler'),
    hint: expect.stringContaining('AYB_COLLECTIONS_URL'),
  })
  expect((await server.get(PATH, {token: null})).json()).toMatchObject({
    message: 'not available at the moment',
  })
  expect(server.logs()).toContainEqual(
    expect.objectContaining({level: 'warn', msg: expect.stringContaining('AYB_COLLECTIONS_URL')}),
  )
  expect((await server.get('/readyz')).status).toBe(200)

  const login = await db.createRole('reader')
  await db.query(`grant select on leaderboard to ${login.name}`)
  const own = await startServer({url: pooler.url}, [], {env: {AYB_COLLECTIONS_URL: login.url}})
  const answer = await own.get(PATH)
  expect(answer.status).toBe(200)
  expect(answer.json()).toMatchObject({totalItems: 50})
  await stopServers([server, own])
})

test('views are read through PgBouncer in session mode where AYB_POOLED=off says so', async () => {
  const db = await createTestDatabase()
  const pooler = await startPgBouncer(db, {poolMode: 'session'})
  await expect(openAs(pooler.url)).rejects.toMatchObject({code: 'CONNECTION_FAILED', status: 503})
  const reader = await openAs(pooler.url, {AYB_POOLED: 'off'})
  expect(await textOf(reader, 'leaderboard')).toContain('"totalItems":50')
  await reader.close()
})
