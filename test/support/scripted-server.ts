import {createHash, createHmac, pbkdf2Sync, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {type AddressInfo, createServer, type Socket} from 'node:net'
import {TLSSocket} from 'node:tls'

/** A message of the client, of a log-in or a session. */
interface Heard {
  letter: string
  body: Buffer
}

/** One session with a client, from behind its startup message on. */
export interface Talk {
  isEncrypted: boolean
  send(...messages: Buffer[]): void
  /** The next message of the client. */
  hear(): Promise<Heard>
  /** Begins the session, and answers every statement with one row: whether it is encrypted. */
  letIn(): Promise<void>
  /** The same behind an AuthenticationOk that was sent already. */
  letInBehind(): Promise<void>
}

export type Part = (talk: Talk) => Promise<void>

export interface ScriptedServer {
  port: number
  /** All that clients sent behind their startup messages. */
  heard: Heard[]
  close(): Promise<void>
}

const SSL_REQUEST = 80_877_103
const GSS_REQUEST = 80_877_104

/** Plays a part to each client that comes, over TLS where it has a certificate to show. */
export async function startScriptedServer(
  part: Part,
  certificate?: {cert: Buffer; key: Buffer},
): Promise<ScriptedServer> {
  const heard: Heard[] = []
  const sockets = new Set<Socket>()
  const listener = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    // A client that hangs up is often what a test wants.
    receive(socket, part, certificate, heard)
      .catch(() => {})
      .finally(() => socket.end())
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    port: (listener.address() as AddressInfo).port,
    heard,
    async close() {
      for (const socket of sockets) socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}

async function receive(
  plain: Socket,
  part: Part,
  certificate: {cert: Buffer; key: Buffer} | undefined,
  heard: Heard[],
): Promise<void> {
  let socket = plain
  for (;;) {
    const code = (await packet(socket)).readInt32BE(0)
    if (code !== SSL_REQUEST && code !== GSS_REQUEST) break
    const isTls = code === SSL_REQUEST && certificate !== undefined
    socket.write(isTls ? 'S' : 'N')
    if (isTls) {
      socket = new TLSSocket(plain, {isServer: true, ...certificate})
      socket.on('error', () => {})
    }
  }
  const talk: Talk = {
    isEncrypted: socket !== plain,
    send: (...messages) => void socket.write(Buffer.concat(messages)),
    async hear() {
      const letter = (await take(socket, 1)).toString('latin1')
      const message = {letter, body: await packet(socket)}
      heard.push(message)
      return message
    },
    async letIn() {
      talk.send(authentication(0))
      await talk.letInBehind()
    },
    async letInBehind() {
      talk.send(...SESSION, READY)
      while ((await talk.hear()).letter === 'Q') talk.send(...row(talk.isEncrypted), READY)
    },
  }
  await part(talk)
}

/** What stands behind a length, which counts itself. */
async function packet(socket: Socket): Promise<Buffer> {
  const length = (await take(socket, 4)).readInt32BE(0)
  return length === 4 ? Buffer.alloc(0) : take(socket, length - 4)
}

async function take(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = socket.read(count)
    if (bytes?.length === count) return bytes
    if (socket.destroyed || socket.readableEnded) throw new Error('the client hung up')
    await Promise.race([once(socket, 'readable'), once(socket, 'close')])
  }
}

export function message(letter: string, ...parts: (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([header(letter, body.length + 4), body])
}

/** The beginning of a message, which can announce more than ever comes. */
export const header = (letter: string, length: number): Buffer =>
  Buffer.concat([Buffer.from(letter), int32(length)])

export const authentication = (code: number, data: Buffer | string = ''): Buffer =>
  message('R', int32(code), data)

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

export const READY = message('Z', 'I')

const SESSION = [
  message('S', 'server_version\x0015.0\0'),
  message('S', 'client_encoding\0UTF8\0'),
  message('K', int32(4711), int32(-815)),
]

/** One row with one column, a boolean. */
const row = (value: boolean): Buffer[] => [
  message('T', int16(1), 'ssl\0', int32(0), int16(0), int32(16), int16(1), int32(-1), int16(0)),
  message('D', int16(1), int32(1), value ? 't' : 'f'),
  message('C', 'SELECT 1\0'),
]

/** Where a server departs from SCRAM as it should be. */
interface ScramTwist {
  mechanisms?: readonly string[]
  iterations?: number
  /** What becomes of the client's nonce. */
  nonce?: (client: string) => string
  /** How the last message is signed: with a key that does not come of the password, or not at all. */
  signature?: 'right' | 'wrong' | 'none' | 'refused'
}

/** Plays SCRAM up to its last message, and returns how the client began. */
export async function playScram(talk: Talk, password: string, twist: ScramTwist = {}): Promise<string> {
  const {mechanisms = ['SCRAM-SHA-256'], iterations = 4096, signature = 'right'} = twist
  talk.send(authentication(10, `${mechanisms.join('\0')}\0\0`))
  const {body} = await talk.hear()
  const [mechanism = '', rest = ''] = splitAt(body.toString('latin1'), '\0')
  const first = rest.slice(4)
  const bare = first.slice(first.indexOf('n=', first.indexOf(',,')))
  const client = /r=(.*)/.exec(bare)?.[1] ?? ''
  const salt = randomBytes(16)
  const nonce = (twist.nonce ?? ((given) => `${given}${randomBytes(9).toString('base64')}`))(client)
  const serverFirst = `r=${nonce},s=${salt.toString('base64')},i=${iterations}`
  talk.send(authentication(11, serverFirst))
  const final = (await talk.hear()).body.toString('latin1')
  const signed = `${bare},${serverFirst},${final.slice(0, final.lastIndexOf(',p='))}`
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  if (!isProofRight(salted, signed, final)) throw new Error('the client has another password')
  const key = signature === 'wrong' ? randomBytes(32) : hmac(salted, 'Server Key')
  if (signature === 'refused') talk.send(authentication(12, 'e=other-error'))
  else if (signature !== 'none') {
    talk.send(authentication(12, `v=${hmac(key, signed).toString('base64')}`))
  }
  return `${mechanism} ${first.slice(0, first.indexOf(',,'))}`
}

function isProofRight(salted: Buffer, signed: string, final: string): boolean {
  const proof = Buffer.from(final.slice(final.lastIndexOf(',p=') + 3), 'base64')
  const stored = createHash('sha256').update(hmac(salted, 'Client Key')).digest()
  const signature = hmac(stored, signed)
  const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] ?? 0)))
  return createHash('sha256').update(clientKey).digest().equals(stored)
}

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

function splitAt(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return [text.slice(0, at), text.slice(at + separator.length)]
}
