import {beforeAll, expect, test} from 'vitest'
import {DeadConnections} from '../../src/core/refresh/dead-connection.ts'
import {LockSampler} from '../../src/core/worker/lock-sampler.ts'
import type {Database} from '../../src/db/database.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'
import {until} from '../support/until.ts'

const VIEW = {schemaName: 'public', viewName: 'leaderboard'}

let server: TestDatabase

beforeAll(async () => {
  server = await createTestDatabase()
})

/** A session on the server, which goes by that name. */
function open(host = server.host): Promise<Database> {
  const url = new URL(server.url)
  url.searchParams.set('hostaddr', server.host)
  url.hostname = host
  return openDatabase({url: url.href})
}

test('only a session on the same host can tell that a connection is dead', async () => {
  const [{session}, beside, elsewhere] = await Promise.all([open(), open(), open('elsewhere')])
  const refresh = {session, view: VIEW, lock: null}
  await server.query('select pg_terminate_backend($1, 5000)', [session.pid])
  const connections = new DeadConnections()
  expect(await connections.find(elsewhere.session, [refresh])).toEqual([])
  expect(await connections.find(beside.session, [refresh])).toMatchObject([{pid: session.pid}])
})

test('only a session on the same host can tell for which lock a refresh waits', async () => {
  const [waiting, beside, elsewhere] = await Promise.all([open(), open(), open('elsewhere')])
  const holder = await server.connect()
  await holder.query('begin; lock table users')
  const waits = waiting.session.query('select from public.users')
  const seen: string[] = []
  const watches = [
    {name: 'elsewhere', sampler: new LockSampler(() => elsewhere)},
    {name: 'beside', sampler: new LockSampler(() => beside)},
  ].map(({name, sampler}) =>
    sampler.watch({
      session: waiting.session,
      pid: waiting.session.pid,
      view: VIEW,
      limitMs: 200,
      onWait: (wait) => seen.push(`${name}: ${wait?.relation}`),
    }),
  )
  await until(() => seen.filter((sight) => sight.startsWith('beside')).length >= 3, {what: 'three looks'})
  await Promise.all(watches.map((watch) => watch.stop()))
  expect(new Set(seen)).toEqual(new Set(['beside: public.users']))
  await holder.query('rollback')
  await waits
})
