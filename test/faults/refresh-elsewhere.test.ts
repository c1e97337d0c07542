import {type AddressInfo, connect, createServer, type Socket} from 'node:net'
import {afterAll, expect, test} from 'vitest'
import {tieTogether} from '../support/answer-proxy.ts'
import {startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {createGatedView, createRefreshDatabase, runsOf, untilRefreshing} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

/** A way to the server under a port of its own: another host, as far as a client can tell. */
interface Door {
  port: number
  /** How many connections came, and how many of them are open. */
  taken: number
  open: number
  /** Refuses new connections from now on. */
  shut(): void
}

const sockets = new Set<Socket>()
const shutAll: (() => void)[] = []

afterAll(() => {
  for (const socket of sockets) socket.destroy()
  for (const shut of shutAll) shut()
})

async function openDoor(server: TestDatabase): Promise<Door> {
  const listener = createServer((client) => {
    door.taken++
    door.open++
    client.on('close', () => {
      door.open--
    })
    const upstream = connect(server.port, server.host)
    tieTogether(client, upstream, sockets)
    client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const shut = () => void listener.close()
  shutAll.push(shut)
  const door: Door = {port: (listener.address() as AddressInfo).port, taken: 0, open: 0, shut}
  return door
}

test.each([
  ['through a pooler', 'on'],
  ['without one', 'off'],
])(
  'a refresh %s whose host takes nobody else keeps no session on another one',
  {timeout: 120_000},
  async (_, pooled) => {
    const db = await createRefreshDatabase()
    const gate = await createGatedView(db, 'gated')
    await gate.close()
    const [first, second] = [await openDoor(db), await openDoor(db)]
    const url = db.url.replace(/@[^/]*\//, `@127.0.0.1:${first.port},127.0.0.1:${second.port}/`)
    const running = startAyb(['matviews', 'refresh', 'gated', '--json'], {
      url,
      env: {AYB_POOLED: pooled},
      timeoutMs: 90_000,
    })
    const pid = await untilRefreshing(db, 'gated')
    first.shut()
    expect([first.open, second.taken]).toEqual([1, 0])
    await until(() => second.taken > 0, {what: 'a look at the other host', timeoutMs: PATIENCE_MS})
    await until(() => second.open === 0, {what: 'that session to end', timeoutMs: PATIENCE_MS})
    expect(await untilRefreshing(db, 'gated')).toBe(pid)
    await gate.open()
    expect(await running.done).toMatchObject({code: 0, stderr: ''})
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'success'}])
  },
)
