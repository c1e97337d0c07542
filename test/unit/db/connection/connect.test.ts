import {once} from 'node:events'
import {mkdtempSync, rmSync} from 'node:fs'
import {type AddressInfo, createServer, type Server, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, describe, expect, test} from 'vitest'
import {type Connected, connect} from '../../../../src/db/connection/connect.ts'
import {AybError} from '../../../../src/lib/errors.ts'
import {header, int32, message, playScram, startScriptedServer} from '../../../support/scripted-server.ts'

const SSL_REQUEST = 80_877_103
const CANCEL_REQUEST = 80_877_102

const open = new Set<Server>()
const sockets = new Set<Socket>()

afterEach(() => {
  for (const socket of sockets) socket.destroy()
  for (const server of open) server.close()
  open.clear()
  sockets.clear()
})

/** A server that is not PostgreSQL's: `answer` gets what one write of the client brought. */
async function serve(answer: (bytes: Buffer, socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => answer(bytes, socket))
  })
  open.add(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** What a server sends once a session may begin. */
const READY = Buffer.concat([
  message('R', int32(0)),
  message('K', int32(4711), int32(-815)),
  message('Z', Buffer.from('I')),
])

const serverError = (sqlstate: string, text: string) =>
  message('E', Buffer.from(`SFATAL\0VFATAL\0C${sqlstate}\0M${text}\0\0`))

const isSslRequest = (bytes: Buffer) => bytes.length === 8 && bytes.readInt32BE(4) === SSL_REQUEST

/** Answers as a server without TLS would, and whatever is given to the startup message. */
const plain = (answer: Buffer) => (bytes: Buffer, socket: Socket) => {
  socket.write(isSslRequest(bytes) ? 'N' : answer)
}

const connectTo = (databaseUrl: string, more: {env?: Record<string, string>; signal?: AbortSignal} = {}) =>
  connect({
    databaseUrl,
    env: {HOME: '/nowhere', ...more.env},
    applicationName: 'ayb test',
    signal: more.signal,
  })

async function failure(attempt: Promise<Connected>): Promise<AybError> {
  const outcome = await attempt.then(
    () => new Error('connected'),
    (error: unknown) => error,
  )
  if (outcome instanceof AybError) return outcome
  throw outcome
}

const url = (port: number, query = '') => `postgres://ada:sekret@127.0.0.1:${port}/app${query}`

describe('a server', () => {
  test('without TLS is spoken to in the clear, unless that was forbidden', async () => {
    const port = await serve(plain(READY))
    const connected = await connectTo(url(port))
    expect(connected.target).toEqual({host: '127.0.0.1', port, database: 'app', user: 'ada'})
    connected.destroy()
    const error = await failure(connectTo(url(port, '?sslmode=require')))
    expect(error.message).toContain('the server does not offer TLS')
  })

  test('gets our name, and no options that nobody asked for', async () => {
    const startups: string[] = []
    const port = await serve((bytes, socket) => {
      if (!isSslRequest(bytes)) startups.push(bytes.toString())
      plain(READY)(bytes, socket)
    })
    for (const env of [{PGAPPNAME: 'other'}, {PGOPTIONS: '-c geqo=off'}]) {
      ;(await connectTo(url(port), {env})).destroy()
    }
    expect(startups[0]).toContain('application_name\0ayb test\0')
    expect(startups[0]).not.toContain('options')
    expect(startups[1]).toContain('options\0-c geqo=off\0')
  })

  test('that accepts and never answers is given up', async () => {
    const port = await serve(() => {})
    const error = await failure(connectTo(url(port, '?connect_timeout=1')))
    expect(error.message).toBe(
      `cannot connect to database "app" at 127.0.0.1:${port} as user "ada": no answer after 1 s`,
    )
    expect(error.details).toEqual({timeoutMs: 1000})
  })

  test('that stops in the middle of the log-in is given up', async () => {
    const port = await serve(plain(message('R', int32(0))))
    expect((await failure(connectTo(url(port, '?connect_timeout=1')))).message).toContain(
      'no answer after 1 s',
    )
  })

  test.each(['', '?sslmode=disable'])('that is none of PostgreSQL says so (%s)', async (query) => {
    const port = await serve((_bytes, socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
    expect((await failure(connectTo(url(port, query)))).message).toContain('is not a PostgreSQL server')
  })

  test('that fails before TLS is not quoted, as anybody could have sent it', async () => {
    const port = await serve((_bytes, socket) => socket.write(serverError('53200', 'phish')))
    const error = await failure(connectTo(url(port)))
    expect(error.message).toContain('the server cannot start a session')
    expect(error.message).not.toContain('phish')
  })

  test('that sends more than one letter before TLS is not believed', async () => {
    const port = await serve((_bytes, socket) => socket.write(Buffer.concat([Buffer.from('S'), READY])))
    expect((await failure(connectTo(url(port)))).message).toContain('is not a PostgreSQL server')
  })

  test('that wants a log-in unknown to the driver does not end the process', async () => {
    const port = await serve(plain(message('R', int32(7))))
    expect(await failure(connectTo(url(port)))).toMatchObject({code: 'CONNECTION_FAILED'})
  })

  test.each([
    ['a log-in', header('R', 0x7fffffff)],
    ['an error', header('E', 0x7fffffff)],
    ['more than libpq takes', header('R', 2001)],
    ['no log-in', message('Z', 'I')],
  ])('that begins with %s is not listened to', async (_, bytes) => {
    const port = await serve(plain(bytes))
    expect((await failure(connectTo(url(port)))).message).toContain('is not a PostgreSQL server')
  })

  test('that asks for more rounds of SCRAM than can be waited for is left at once', async () => {
    const server = await startScriptedServer(async (talk) => {
      await playScram(talk, 'sekret', {iterations: 5_000_001})
    })
    const error = await failure(connectTo(url(server.port)))
    await server.close()
    expect(error.message).toContain(
      'the server asks for 5000001 rounds of SCRAM, and ayb does 5000000 at most',
    )
    expect(error.hint).toContain('scram_iterations')
  })

  test('that hangs up is reported as such', async () => {
    const port = await serve((_bytes, socket) => socket.end())
    for (const query of ['', '?sslmode=disable']) {
      expect((await failure(connectTo(url(port, query)))).message).toContain(
        'the server closed the connection',
      )
    }
  })

  test.each([
    ['28P01', 'password authentication failed', 'the connection settings'],
    ['28000', 'said in any language', 'pg_hba.conf'],
    ['3D000', 'the database does not exist', 'createdb'],
    ['53300', 'too many connections (said in any language)', 'max_connections'],
    ['57P03', 'said in any language', 'starting up'],
    ['XX000', 'said in any language', 'XX000'],
  ])('that answers %s is reported in plain words', async (sqlstate, why, hint) => {
    const port = await serve(plain(serverError(sqlstate, 'said in\nany language')))
    const error = await failure(connectTo(url(port)))
    expect(error).toMatchObject({code: 'CONNECTION_FAILED', exitCode: 6, details: {sqlstate}})
    expect(error.message.endsWith(`as user "ada": ${why}`)).toBe(true)
    expect(error.hint).toContain(hint)
    expect(`${error.message}${error.hint}${JSON.stringify(error.details)}${error.cause}`).not.toContain(
      'sekret',
    )
  })

  test('that asks for a password gets none of an empty environment', async () => {
    const port = await serve(plain(message('R', int32(3))))
    const error = await failure(connectTo(`postgres://ada@127.0.0.1:${port}/app`))
    expect(error.message).toContain('asks for a password, and there is none')
    expect(error.hint).toContain('PGPASSWORD')
  })

  test('that asks for a password in the clear gets none under channel_binding=require', async () => {
    const received: string[] = []
    const port = await serve((bytes, socket) => {
      received.push(bytes.toString())
      plain(message('R', int32(3)))(bytes, socket)
    })
    const error = await failure(connectTo(url(port, '?channel_binding=require')))
    expect(error.message).toContain('channel binding')
    expect(received.join('')).not.toContain('sekret')
  })

  test('that lets anybody in is left under channel_binding=require', async () => {
    const port = await serve(plain(READY))
    expect((await failure(connectTo(url(port, '?channel_binding=require')))).message).toContain(
      'channel binding',
    )
  })
})

describe('nobody there', () => {
  test('is a refusal, for every address of the name', async () => {
    const port = await serve(() => {})
    for (const server of open) server.close()
    const error = await failure(connectTo(`postgres://ada@localhost:${port}/app`))
    expect(error.message).toBe(
      `cannot connect to database "app" at localhost:${port} as user "ada": connection refused`,
    )
    expect(error.hint).toContain('is the server running there?')
  })

  test('is a missing socket in a directory', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ayb-socket-'))
    const error = await failure(connectTo(`host=${folder} user=ada`))
    expect(error.message).toBe(
      `cannot connect to database "ada" at ${folder}/.s.PGSQL.5432 as user "ada": no such socket`,
    )
    rmSync(folder, {recursive: true})
  })

  test('is said for each of several hosts', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ayb-socket-'))
    const error = await failure(connectTo(`host=${folder}/a,${folder}/b user=ada`))
    expect(error.message).toBe(
      `cannot connect to database "ada" as user "ada": ${folder}/a/.s.PGSQL.5432: no such socket; ` +
        `${folder}/b/.s.PGSQL.5432: no such socket`,
    )
    rmSync(folder, {recursive: true})
  })
})

describe('several hosts', () => {
  const pair = (first: number, second: number) =>
    `postgres://ada:x@127.0.0.1:${first},127.0.0.1:${second}/app`

  test('are tried in turn past one that starts up or never answers', async () => {
    const good = await serve(plain(READY))
    for (const bad of [await serve(plain(serverError('57P03', 'starting'))), await serve(() => {})]) {
      const connected = await connectTo(`${pair(bad, good)}?connect_timeout=1`)
      expect(connected.target.port).toBe(good)
      connected.destroy()
    }
  })

  test('are not tried past one that refuses the password', async () => {
    const good = await serve(plain(READY))
    const bad = await serve(plain(serverError('28P01', 'no')))
    expect((await failure(connectTo(pair(bad, good)))).details).toEqual({sqlstate: '28P01'})
  })
})

describe('sslmode', () => {
  /** Refuses with `sqlstate` once, and lets the second connection in. */
  const refuseOnce = (sqlstate: string) => {
    let startups = 0
    return serve((bytes, socket) => {
      if (isSslRequest(bytes)) socket.write('N')
      else socket.write(startups++ === 0 ? serverError(sqlstate, 'no') : READY)
    })
  }

  test('prefer does not repeat what was refused in the clear already', async () => {
    const port = await refuseOnce('28000')
    expect((await failure(connectTo(url(port)))).details).toEqual({sqlstate: '28000'})
  })

  test('prefer goes on in the clear when the handshake fails', async () => {
    const port = await serve((bytes, socket) => {
      if (isSslRequest(bytes)) socket.write('S')
      else if (bytes[0] === 22) socket.destroy()
      else socket.write(READY)
    })
    ;(await connectTo(url(port))).destroy()
    expect((await failure(connectTo(url(port, '?sslmode=require')))).message).toContain('TLS handshake')
  })

  test('allow names the refusal in the clear when the server has no TLS', async () => {
    const port = await refuseOnce('28000')
    expect((await failure(connectTo(url(port, '?sslmode=allow')))).details).toEqual({sqlstate: '28000'})
  })
})

describe('an abort', () => {
  test('need not wait for the rounds of SCRAM', async () => {
    const controller = new AbortController()
    const abort = () => controller.abort(new Error('enough'))
    const server = await startScriptedServer(async (talk) => {
      await playScram(talk, 'sekret', {
        iterations: 2_000_000,
        nonce: (given) => {
          setTimeout(abort, 20)
          return `${given}more`
        },
      })
    })
    await expect(connectTo(url(server.port), {signal: controller.signal})).rejects.toThrow('enough')
    // The rounds go on, and nothing was made of them.
    expect(server.heard).toHaveLength(1)
    await server.close()
  })

  test('ends the attempt at once, with its reason', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const port = await serve(() => controller.abort(reason))
    for (const query of ['', '?sslmode=disable', '?connect_timeout=0']) {
      await expect(connectTo(url(port, query), {signal: controller.signal})).rejects.toBe(reason)
    }
  })
})

describe('a session', () => {
  test.each([
    ['a row', header('D', 0x7fffffff), 'announced a message of 2147483647 bytes'],
    ['an error', header('E', 0x7fffffff), 'announced a message of 2147483647 bytes'],
    ['a notice', header('N', 0x7fffffff), 'announced a message of 2147483647 bytes'],
    ['a negative length', header('C', -1), 'announced a message of 4294967295 bytes'],
    ['another log-in', message('R', int32(3)), 'broke the protocol'],
  ])('ends where the server answers with %s that cannot be', async (_, answer, why) => {
    const received: Buffer[] = []
    const port = await serve((bytes, socket) => {
      received.push(bytes)
      if (isSslRequest(bytes)) socket.write('N')
      else socket.write(bytes[0] === 0x51 ? answer : READY)
    })
    const {client} = await connectTo(url(port), {env: {PGPASSWORD: 'sekret'}})
    await expect(client.query('select 1')).rejects.toThrow(why)
    await expect(client.query('select 1')).rejects.toThrow()
    expect(Buffer.concat(received).toString('latin1')).not.toContain('sekret')
  })

  test('whose server goes away does not end the process', async () => {
    const port = await serve(plain(READY))
    const {client} = await connectTo(url(port))
    const ended = new Promise((resolve) => client.once('end', resolve))
    for (const socket of sockets) socket.destroy()
    await ended
    await expect(client.query('select 1')).rejects.toThrow()
  })

  test('is canceled by its key, at the address where it is', async () => {
    const requests: number[][] = []
    const port = await serve((bytes, socket) => {
      if (bytes.length === 16 && bytes.readInt32BE(4) === CANCEL_REQUEST) {
        requests.push([bytes.readInt32BE(8), bytes.readInt32BE(12)])
        socket.end()
      } else plain(READY)(bytes, socket)
    })
    const connected = await connectTo(url(port))
    await connected.cancel()
    expect(requests).toEqual([[4711, -815]])
    connected.destroy()
  })

  test('whose server is gone is canceled without an error', async () => {
    const port = await serve(plain(READY))
    const connected = await connectTo(url(port))
    for (const server of open) server.close()
    await connected.cancel()
    connected.destroy()
  })
})
