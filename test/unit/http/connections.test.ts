import {once} from 'node:events'
import {get, type RequestListener, type ServerResponse} from 'node:http'
import {connect, type Socket} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'
import {afterEach, describe, expect, test} from 'vitest'
import {Connections, mostConnections} from '../../../src/http/connections.ts'
import {listen} from '../../../src/http/listen.ts'
import {until} from '../../support/until.ts'

const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'
/** More than the system takes from a server whose client does not read. */
const MUCH = Buffer.alloc(16 * 1024 * 1024)

const ends: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function start(most: number, handler: RequestListener, {pieceMs = 30_000} = {}) {
  const connections = new Connections(most, {pieceMs})
  const listener = await listen(
    {host: '127.0.0.1', port: 0},
    {handler, connections, requestTimeoutMs: 30_000},
  )
  const port = Number(new URL(`http://${listener.address}`).port)
  const sockets: Socket[] = []
  ends.push(async () => {
    for (const socket of sockets) socket.destroy()
    const closed = listener.close()
    connections.dropAll()
    await closed
  })
  /** Opens a connection, sends that, and waits until the server knows of it. */
  const open = async (sent = '') => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    sockets.push(socket)
    await once(socket, 'connect')
    if (sent !== '') socket.write(sent)
    return socket
  }
  /** Asks on a connection of its own. */
  const ask = () =>
    new Promise<number | undefined>((resolve, reject) => {
      get({port, host: '127.0.0.1', agent: false, timeout: 5000}, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      }).on('error', reject)
    })
  return {connections, listener, open, ask}
}

const answerAll: RequestListener = (_request, response) => response.end('ok')

/** Reads what comes, so that an end is noticed, and waits for it. */
const untilClosed = (socket: Socket) =>
  until(() => socket.resume().destroyed, {what: 'the connection to be closed'})

describe('a server with as many connections as it may have', () => {
  test('drops the one that has said nothing for the longest, and answers a new one', async () => {
    const {connections, open, ask} = await start(16, answerAll)
    const idle = []
    for (let n = 0; n < 15; n++) idle.push(await open())
    await until(() => connections.count === 15, {what: 'all connections'})
    const [first, second] = idle as [Socket, Socket]
    // It is of use to somebody, and so not the oldest any more.
    first.write(REQUEST)
    await once(first, 'data')
    expect(await ask()).toBe(200)
    await untilClosed(second)
    expect(first.destroyed).toBe(false)
    expect(connections.count).toBeLessThanOrEqual(16)
  })

  test('answers each of a crowd that comes after many who say nothing', async () => {
    const {connections, open, ask} = await start(16, answerAll)
    for (let n = 0; n < 100; n++) await open(n % 2 === 0 ? '' : 'GET / HTTP/1.1\r\nhost: ')
    for (let n = 0; n < 50; n++) expect(await ask()).toBe(200)
    expect(connections.count).toBeLessThanOrEqual(16)
  })

  test('drops those that send or read slowly before it refuses anybody', async () => {
    let requests = 0
    const {open, ask} = await start(16, (request, response) => {
      requests++
      if (request.method === 'POST') request.resume().on('end', () => response.end('ok'))
      else if (request.url === '/much') response.end(MUCH)
      else response.end('ok')
    })
    const slow = []
    for (let n = 0; n < 15; n++)
      slow.push(
        await open(
          n % 2 === 0
            ? 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n1'
            : 'GET /much HTTP/1.1\r\nhost: x\r\n\r\n',
        ),
      )
    await until(() => requests === 15, {what: 'all requests'})
    for (let n = 0; n < 4; n++) expect(await ask()).toBe(200)
    await untilClosed(slow[0] as Socket)
  })

  test('drops none that waits for its answer, and leaves the last places to probes', async () => {
    let finish = () => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    let waiting = 0
    const forProbes: boolean[] = []
    const server = await start(16, async (request, response) => {
      if (server.connections.isForProbes(request.socket)) {
        forProbes.push(true)
        response.end('ok')
        return
      }
      waiting++
      await finished
      response.end('ok')
    })
    const sockets = []
    for (let n = 0; n < 15; n++) sockets.push(await server.open(REQUEST))
    await until(() => waiting === 15, {what: 'all requests'})
    for (let n = 0; n < 20; n++) expect(await server.ask()).toBe(200)
    expect(forProbes).toHaveLength(20)
    const answers = sockets.map((socket) => once(socket, 'data'))
    finish()
    for (const [data] of await Promise.all(answers)) expect(String(data)).toMatch(/^HTTP\/1\.1 200/)
    expect(await server.ask()).toBe(200)
    expect(forProbes).toHaveLength(20)
  })
})

describe('an answer', () => {
  test('that is not read is given up', async () => {
    const {connections, open} = await start(16, (_request, response) => response.end(MUCH), {pieceMs: 10})
    const socket = await open(REQUEST)
    socket.pause()
    await until(() => connections.count === 1, {what: 'the connection'})
    // 64 pieces.
    await until(() => connections.count === 0, {what: 'the connection to be dropped', timeoutMs: 20_000})
  })

  test('that waits behind another on its connection is not', async () => {
    let finish = () => {}
    const server = await start(
      16,
      (request, response) => {
        if (request.url === '/slow') finish = () => response.end('slow')
        else response.end('fast')
      },
      {pieceMs: 20},
    )
    const socket = await server.open(`${REQUEST.replace('/', '/slow')}${REQUEST}`)
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    // Longer than a client has for a piece.
    await sleep(200)
    finish()
    await until(() => /slow[\s\S]*fast/.test(text), {what: 'both answers'})
  })
})

test('a server that stops drops idle connections at once, and others when they are answered', async () => {
  const responses: ServerResponse[] = []
  const server = await start(16, (_request, response) => responses.push(response))
  const [idle, half, busy] = [await server.open(), await server.open('GET'), await server.open(REQUEST)]
  const response = await until(() => responses[0], {what: 'the request'})
  let text = ''
  busy.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  const closed = server.listener.close()
  await Promise.all([untilClosed(idle), untilClosed(half)])
  expect(busy.destroyed).toBe(false)
  response.end('ok')
  await closed
  await untilClosed(busy)
  expect(text).toMatch(/^HTTP\/1\.1 200[\s\S]*ok$/)
})

test('localhost is each of its addresses', async () => {
  const connections = new Connections(16)
  const listener = await listen(
    {host: 'localhost', port: 0},
    {handler: answerAll, connections, requestTimeoutMs: 30_000},
  )
  const {port} = new URL(`http://${listener.address}`)
  expect((await fetch(`http://127.0.0.1:${port}`)).status).toBe(200)
  await listener.close()
})

test('half of the files that a process may open are for connections', () => {
  expect(mostConnections(10)).toBe(10)
  expect(mostConnections(1e9)).toBeGreaterThan(10)
})
