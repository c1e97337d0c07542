import {once} from 'node:events'
import {type AddressInfo, connect, type Socket} from 'node:net'
import Fastify, {type FastifyInstance} from 'fastify'
import {afterEach, beforeEach, expect, test} from 'vitest'
import {EventStream} from '../../../../src/http/api/event-stream.ts'
import {until} from '../../../support/until.ts'

/** More than the systems at both ends keep for a client that does not read. */
const EVENTS = 2000
const TEXT = 'x'.repeat(10_000)

let app: FastifyInstance
let streams: EventStream[]

beforeEach(async () => {
  streams = []
  app = Fastify({forceCloseConnections: true})
  app.get('/events', (_request, reply) => {
    const stream = new EventStream(reply)
    stream.open()
    streams.push(stream)
  })
  await app.listen({port: 0})
})

afterEach(() => app.close())

/** Listens on a connection of its own, from which nothing is read before `resume` is called. */
async function listen(): Promise<Socket> {
  const before = streams.length
  const socket = connect((app.server.address() as AddressInfo).port)
  socket.on('error', () => {})
  socket.pause()
  socket.write('GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await until(() => streams.length > before, {what: 'a stream'})
  return socket
}

const connections = () =>
  new Promise<number>((resolve) => app.server.getConnections((_error, count) => resolve(count)))

test('a client that reads nothing is dropped, and one that reads gets every event', async () => {
  const reader = await listen()
  let read = ''
  reader.setEncoding('utf8').on('data', (chunk) => {
    read = (read + chunk).slice(-2 * TEXT.length)
  })
  reader.resume()
  await listen()
  expect(await connections()).toBe(2)
  for (let id = 0; id < EVENTS; id++) {
    for (const stream of streams) stream.send({event: 'refreshed', id: String(id), data: TEXT})
    while (!read.includes(`id: ${id}\n`) || !read.endsWith('\n\n\r\n')) await once(reader, 'data')
  }
  await until(async () => (await connections()) === 1, {what: 'one of the connections to be dropped'})
})
