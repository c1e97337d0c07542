import {once} from 'node:events'
import {connect, type Socket} from 'node:net'
import Fastify, {type FastifyInstance} from 'fastify'
import {afterEach, beforeEach, test} from 'vitest'
import {EventStream} from '../../../../src/http/api/event-stream.ts'
import {until} from '../../../support/until.ts'

/** Far more than the system keeps for a client that does not read: 16 MB. */
const MANY = 16_000
const EVENT = {event: 'refreshed', id: '1', data: {view: 'x'.repeat(1000)}}

let app: FastifyInstance
const streams: EventStream[] = []
const sockets: Socket[] = []

beforeEach(async () => {
  app = Fastify()
  app.get('/', (_request, reply) => {
    const stream = new EventStream(reply)
    stream.open()
    streams.push(stream)
  })
  await app.listen({host: '127.0.0.1', port: 0})
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  streams.splice(0)
  await app.close()
})

/** Asks for the events, and reads none of them. */
async function ask(): Promise<{socket: Socket; stream: EventStream}> {
  const {port} = app.server.address() as {port: number}
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  sockets.push(socket)
  await once(socket, 'connect')
  const known = streams.length
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await until(() => streams.length > known, {what: 'the answer to begin'})
  return {socket, stream: streams[known] as EventStream}
}

const connections = (): Promise<number> =>
  new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count)))

test('a client that reads nothing is dropped, and one that reads gets all', async () => {
  const slow = await ask()
  const quick = await ask()
  let bytes = 0
  quick.socket.on('data', (chunk) => {
    bytes += chunk.length
  })
  for (let count = 0; count < MANY; count++) {
    slow.stream.send(EVENT)
    // Memory is all that an unread event costs, so a client that reads needs turns.
    if (count % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    quick.stream.send(EVENT)
  }
  await until(async () => (await connections()) === 1, {what: 'the client that reads nothing to be dropped'})
  await until(() => bytes > MANY * 1000, {what: 'all events'})
  // Nothing happens to what is sent later.
  slow.stream.send(EVENT)
  slow.stream.end()
})
