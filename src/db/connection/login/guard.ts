import type {Socket} from 'node:net'
import {HostFailure, notPostgres} from '../host-failure.ts'
import type {Login} from './login.ts'
import {MessageLimits} from './message-limits.ts'

const AUTHENTICATION = 'R'.charCodeAt(0)

/** As libpq: the letters that may come before the session begins, and the most bytes of each. */
const LOGIN_BYTES: Readonly<Record<string, number>> = {R: 2000, v: 2000, E: 30_000}

/**
 * Stands between a socket and the driver. ayb itself does the log-in, which the driver does not see; later
 * messages go to the driver, within limits. For an unknown message the parser of the driver throws from
 * inside an event, which would end the process; here only the session ends.
 */
export function guard(stream: Socket, login: Login): void {
  const [parse] = stream.listeners('data')
  if (!parse) throw new Error('the driver does not listen to its stream')
  stream.removeAllListeners('data')
  const limits = new MessageLimits()
  const pass = (bytes: Buffer) => {
    limits.check(bytes)
    parse.call(stream, bytes)
  }
  const reader = new LoginReader(
    login,
    (reply) => stream.write(reply),
    (bytes) => parse.call(stream, bytes),
  )
  let isIn = false

  const end = (error: unknown) => {
    stream.destroy(error instanceof Error ? error : new Error(String(error)))
  }
  const logIn = async (bytes: Buffer) => {
    // A real server waits for each answer. Anything that arrives earlier stays in the socket.
    stream.pause()
    try {
      const rest = await reader.read(bytes)
      if (stream.destroyed) return
      if (rest !== null) {
        isIn = true
        pass(rest)
      }
      stream.resume()
    } catch (error) {
      end(error)
    }
  }
  stream.on('data', (bytes: Buffer) => {
    if (!isIn) {
      logIn(bytes)
      return
    }
    try {
      pass(bytes)
    } catch (error) {
      end(error)
    }
  })
}

/** Takes the messages up to AuthenticationOk. */
class LoginReader {
  readonly #login: Login
  readonly #send: (reply: Buffer) => void
  /** For errors, which the driver reads. */
  readonly #passOn: (message: Buffer) => void
  #unread = Buffer.alloc(0)
  #isFirst = true

  constructor(login: Login, send: (reply: Buffer) => void, passOn: (message: Buffer) => void) {
    this.#login = login
    this.#send = send
    this.#passOn = passOn
  }

  /** Null while the session has not begun, then what came behind the log-in. */
  async read(bytes: Buffer): Promise<Buffer | null> {
    this.#unread = Buffer.concat([this.#unread, bytes])
    for (;;) {
      const message = this.#next()
      if (message === null) return null
      if (message[0] !== AUTHENTICATION) {
        this.#passOn(message)
        continue
      }
      const {reply, isIn} = await this.#login.answer(message.subarray(5))
      if (reply) this.#send(reply)
      if (isIn) return this.#unread
    }
  }

  /** The next message, null where not all of it is there. */
  #next(): Buffer | null {
    const [first] = this.#unread
    if (first === undefined) return null
    const most = LOGIN_BYTES[String.fromCharCode(first)]
    if (most === undefined) throw this.#isFirst ? notPostgres() : tooEarly()
    if (this.#unread.length < 5) return null
    const length = this.#unread.readUInt32BE(1)
    if (length < 8 || length > most) throw notPostgres()
    if (this.#unread.length < 1 + length) return null
    const message = this.#unread.subarray(0, 1 + length)
    this.#unread = this.#unread.subarray(1 + length)
    this.#isFirst = false
    return message
  }
}

const tooEarly = () =>
  new HostFailure(
    'server',
    'the server goes on before the log-in is over',
    'make sure that the server is yours, and that nobody stands between',
  )
