import {once} from 'node:events'
import {Agent, type IncomingHttpHeaders, request} from 'node:http'
import {connect, type Socket} from 'node:net'
import {afterAll} from 'vitest'
import {type AybOptions, type RunningAyb, startAyb} from './ayb.ts'
import {until} from './until.ts'
import type {LogLine} from './worker.ts'

/** What the servers of tests are started with. */
export const TOKEN = 'a-token-for-tests-0123456789'
/** Servers live for a whole file. */
const SERVER_TIMEOUT_MS = 180_000
const START_MS = 30_000

/** What a server answered. */
interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** The body, parsed. */
  json<T = Record<string, unknown>>(): T
}

interface Ask {
  /** Sent as JSON; text and bytes go out as they are. */
  body?: unknown
  headers?: Record<string, string>
  /** Null sends none. */
  token?: string | null
}

export interface RunningServer extends RunningAyb {
  /** http://127.0.0.1:port */
  origin: string
  logs(): LogLine[]
  ask(method: string, path: string, options?: Ask): Promise<Answer>
  get(path: string, options?: Ask): Promise<Answer>
  post(path: string, body?: unknown, options?: Ask): Promise<Answer>
  put(path: string, body?: unknown, options?: Ask): Promise<Answer>
  delete(path: string, options?: Ask): Promise<Answer>
}

const started: RunningServer[] = []

afterAll(() => stopServers(started))

/**
 * Starts `ayb serve` on a free port, or where `--listen` says, and waits until it listens. Stopped at the end
 * of the file at the latest.
 */
export async function startServer(
  db: {url: string},
  args: string[] = [],
  options: AybOptions = {},
): Promise<RunningServer> {
  const where = args.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']
  const running = startAyb(['serve', ...where, ...args], {
    url: db.url,
    timeoutMs: SERVER_TIMEOUT_MS,
    ...options,
    env: {AYB_ADMIN_TOKEN: TOKEN, ...options.env},
  })
  const [, origin = ''] = await running.waitForOutput(/listening on (http:\/\/[^\s"]+)/, START_MS)
  const ask = (method: string, path: string, asked: Ask = {}) => askOnce(origin, method, path, asked)
  const server: RunningServer = {
    ...running,
    origin,
    logs: () =>
      running
        .stdout()
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as LogLine),
    ask,
    get: (path, asked) => ask('GET', path, asked),
    post: (path, body, asked) => ask('POST', path, {body, ...asked}),
    put: (path, body, asked) => ask('PUT', path, {body, ...asked}),
    delete: (path, asked) => ask('DELETE', path, asked),
  }
  started.push(server)
  return server
}

/** Stops servers in good order. */
export async function stopServers(servers: readonly RunningServer[]): Promise<void> {
  for (const server of servers) server.kill()
  await Promise.all(servers.map(({done}) => done))
}

/** Waits for a line of a server's log. */
export const untilLogged = (server: RunningServer, isIt: (line: LogLine) => boolean, what: string) =>
  until(() => server.logs().find(isIt), {what, timeoutMs: START_MS})

/** Opens a connection to a server, for what no client library would send. */
export async function openSocket(origin: string): Promise<Socket> {
  const {hostname, port} = new URL(origin)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.on('error', () => {})
  return socket
}

/** Sends that on a connection of its own, and returns all that comes until the server closes it. */
export async function exchange(origin: string, sent: string | Buffer): Promise<string> {
  const socket = await openSocket(origin)
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  socket.write(sent)
  await once(socket, 'close')
  return text
}

/** One request on a connection of its own: by node:http, since fetch normalises paths. */
function askOnce(origin: string, method: string, path: string, asked: Ask): Promise<Answer> {
  const {body, headers = {}, token = TOKEN} = asked
  const isRaw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
  const sent = isRaw ? body : JSON.stringify(body)
  const {hostname, port} = new URL(origin)
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        hostname,
        port,
        method,
        path,
        agent: new Agent({keepAlive: false}),
        headers: {
          ...(token === null ? {} : {authorization: `Bearer ${token}`}),
          ...(sent === undefined
            ? {}
            : {'content-type': 'application/json', 'content-length': String(Buffer.byteLength(sent))}),
          ...headers,
        },
      },
      (incoming) => {
        let text = ''
        incoming.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        incoming.on('error', reject)
        incoming.on('end', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text,
            json: <T>() => JSON.parse(text) as T,
          }),
        )
      },
    )
    outgoing.on('error', reject)
    outgoing.end(sent)
  })
}
