import {connect, type Socket} from 'node:net'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {peakMemory} from '../support/memory.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'
import {until} from '../support/until.ts'

const MB = 1024 * 1024
/** A page of 7 MB, far more than the system itself keeps for a client. */
const PAGE = '/api/collections/broad?perPage=7'
const PATIENCE_MS = 30_000

let db: TestDatabase
const sockets: Socket[] = []

beforeAll(async () => {
  db = await createTestDatabase()
  await db.query(
    `create materialized view broad as select n as id, repeat('x', ${MB} - 100) as load from generate_series(1, 7) n`,
  )
})

/** Asks so many times at once for the page, without a token, and reads nothing of the answers. */
function askAndWait({origin}: RunningServer, requests = 1): Socket {
  const {hostname, port} = new URL(origin)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  sockets.push(socket)
  socket.write(`GET ${PAGE} HTTP/1.1\r\nhost: localhost\r\n\r\n`.repeat(requests))
  return socket
}

/** Whether an answer has begun to arrive: Node.js looks into it without being asked. */
const hasBegun = ({bytesRead}: Socket): boolean => bytesRead > 0

/** All that still comes, until the connection ends in whatever way. */
const rest = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('close', () => resolve(text))
  })

describe.concurrent('clients that ask and never read', {timeout: 120_000}, () => {
  let servers: RunningServer[]

  beforeAll(async () => {
    servers = [
      await startServer(db, ['--public-collections', '--all-views']),
      await startServer(db, ['--public-collections', '--all-views']),
    ]
  })

  afterAll(async () => {
    for (const socket of sockets) socket.destroy()
    await stopServers(servers)
  })

  test('fill no memory, are dropped after a while, and leave their room to others', async () => {
    const server = servers[0] as RunningServer
    expect((await server.get(PAGE, {token: null})).text.length).toBeGreaterThan(6.9 * MB)
    const before = peakMemory(server.pid)
    const asking = Array.from({length: 80}, () => askAndWait(server))
    await until(() => asking.filter(hasBegun).length === 8, {what: '8 answers', timeoutMs: PATIENCE_MS})
    const begun = asking.filter(hasBegun)
    const startedAt = performance.now()
    expect((await server.get('/readyz')).status).toBe(200)
    expect((await server.get('/api/admin/matviews')).status).toBe(200)
    // Whoever waits behind the 72 others for too long is told to try again.
    const answer = await until(
      async () => {
        const got = await server.get(PAGE, {token: null})
        expect([200, 503], got.text.slice(0, 300)).toContain(got.status)
        return got.status === 200 && got
      },
      {what: 'an answer', timeoutMs: 2 * PATIENCE_MS},
    )
    expect(answer.text.length).toBeGreaterThan(6.9 * MB)
    expect(performance.now() - startedAt).toBeGreaterThan(15_000)
    // Others may still have a moment, and go on as soon as they are read.
    const dropped = await Promise.race(begun.map(rest))
    expect(dropped.length).toBeLessThan(6.9 * MB)
    // 560 MB they would be.
    expect(peakMemory(server.pid) - before).toBeLessThan(300)
  })

  test('leave their room to others when they hang up, also with answers behind one another', async () => {
    const server = servers[1] as RunningServer
    for (let round = 0; round < 2; round++) {
      const socket = askAndWait(server, 8)
      await until(() => hasBegun(socket), {what: 'the first answer', timeoutMs: PATIENCE_MS})
      await until(async () => (await reading()) === 0, {what: 'all to be read', timeoutMs: PATIENCE_MS})
      let isAnswered = false
      const answer = server.get(PAGE, {token: null}).finally(() => {
        isAnswered = true
      })
      await server.get('/readyz')
      expect(isAnswered).toBe(false)
      socket.destroy()
      expect((await answer).status).toBe(200)
    }
  })
})

/** How many sessions read a view. */
async function reading(): Promise<number> {
  const rows = await db.query(
    `select from pg_stat_activity
      where application_name = 'ayb serve' and datname = current_database() and state <> 'idle'`,
  )
  return rows.length
}
