import {connect, type Socket} from 'node:net'
import {setImmediate as turn} from 'node:timers/promises'
import fastify, {type FastifyReply} from 'fastify'
import {afterAll, beforeAll, describe, expect, onTestFinished, test, vi} from 'vitest'
import {EventStream} from '../../src/http/api/event-stream.ts'
import {until} from '../support/until.ts'

const EVENT = {event: 'refreshed', id: 'an-id', data: {schema: 'public', view: 'v'.repeat(1000)}}
/** More than the system keeps for a connection on either side. */
const MOST_EVENTS = 100_000

const replies: FastifyReply[] = []
const app = fastify()
const sockets: Socket[] = []
let port = 0

beforeAll(async () => {
  app.get('/events', (_, reply) => {
    replies.push(reply)
  })
  port = Number(new URL(await app.listen({host: '127.0.0.1', port: 0})).port)
})

afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  await app.close()
})

/** A client, and the stream that it has asked for. */
async function listen(): Promise<{socket: Socket; stream: EventStream}> {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => {})
  const before = replies.length
  socket.write('GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await until(() => replies.length > before, {what: 'the request'})
  const stream = new EventStream(replies[before] as FastifyReply)
  stream.open()
  return {socket, stream}
}

test('a listener that does not read is dropped, and one beside it that reads is told all', async () => {
  const silent = await listen()
  const reading = await listen()
  let received = 0
  reading.socket.on('data', (chunk) => {
    received += chunk.toString().split('event: refreshed').length - 1
  })
  silent.socket.pause()
  const isDropped = () => replies[0]?.raw.destroyed === true
  let sent = 0
  while (!isDropped() && sent < MOST_EVENTS) {
    silent.stream.send(EVENT)
    reading.stream.send(EVENT)
    sent++
    await turn()
  }
  expect(isDropped()).toBe(true)
  await until(() => received === sent, {what: 'all events'})
  expect(replies[1]?.raw.destroyed).toBe(false)
  // What is said to a listener that has gone goes nowhere.
  silent.stream.send(EVENT)
  silent.stream.end()
})

describe('every 15 s, a comment', () => {
  const COMMENT_MS = 15_000

  const stopClock = () => {
    vi.useFakeTimers({toFake: ['setInterval', 'clearInterval']})
    onTestFinished(() => {
      vi.useRealTimers()
    })
  }

  test('says that the connection is alive', async () => {
    stopClock()
    const {socket, stream} = await listen()
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    const comments = () => text.split(':\n\n').length - 1
    for (const count of [1, 2]) {
      vi.advanceTimersByTime(COMMENT_MS - 1)
      stream.send(EVENT)
      await until(() => text.split('event: refreshed').length - 1 === count, {what: 'the event'})
      expect(comments()).toBe(count - 1)
      vi.advanceTimersByTime(1)
      await until(() => comments() === count, {what: 'the comment'})
    }
    expect(text).toContain(': listening\n\n')
  })

  test('drops a listener that has read nothing since the one before', async () => {
    stopClock()
    const {socket, stream} = await listen()
    socket.pause()
    const {raw} = replies.at(-1) as FastifyReply
    let sent = 0
    while (!raw.destroyed && sent < MOST_EVENTS) {
      // Less than what has a listener dropped at once.
      while (!raw.writableNeedDrain && !raw.destroyed && sent++ < MOST_EVENTS) stream.send(EVENT)
      vi.advanceTimersByTime(COMMENT_MS)
      await turn()
    }
    expect(raw.destroyed).toBe(true)
  })
})
