import {expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {listenTo} from '../support/events.ts'
import {startProxy} from '../support/half-open.ts'
import {register} from '../support/refresh.ts'
import {startServer} from '../support/serve.ts'
import {until} from '../support/until.ts'

test('a server with a listener stops at once although the database answers no more', async () => {
  const db = await createTestDatabase({hasTables: true})
  await register(db, 'leaderboard')
  const proxy = await startProxy(db)
  const server = await startServer({url: proxy.through(db.url)})
  const listener = await listenTo(server, 'leaderboard')
  const sessions = (isListening: boolean) =>
    db.query<{client_port: number}>(
      `select client_port from pg_stat_activity
        where datname = current_database() and starts_with(application_name, 'ayb serve')
          and (query ilike 'listen %') = $1`,
      [isListening],
    )
  await until(async () => (await sessions(true)).length === 1, {what: 'the session for notifications'})
  const links = (await sessions(false)).map(({client_port}) => proxy.stall(client_port))
  // The notification still arrives, and has the server ask on a session that is dead.
  expect((await ayb(['matviews', 'refresh', 'leaderboard'], db)).code).toBe(0)
  await until(() => links.some(({lost}) => lost.fromProgram > 0), {what: 'the server to ask'})
  proxy.stallAll()
  const startedAt = performance.now()
  server.kill()
  expect(await listener.ended).toBe(true)
  expect((await server.done).code).toBe(0)
  expect(performance.now() - startedAt).toBeLessThan(8000)
}, 90_000)
