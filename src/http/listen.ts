import {lookup} from 'node:dns/promises'
import {createServer, type RequestListener, type Server} from 'node:http'
import type {AddressInfo, Socket} from 'node:net'
import {AybError, messageOf} from '../lib/errors.ts'
import type {ListenAddress} from '../lib/listen-address.ts'
import type {Connections} from './connections.ts'

/** A client that waits for so long with its next request loses its connection. */
const KEEP_ALIVE_MS = 72_000
/** How often it is looked for requests that take too long to arrive. */
const CHECK_MS = 5000

interface ListenOptions {
  handler: RequestListener
  connections: Connections
  /** How long a request may take to arrive, in milliseconds: a client that dribbles must not hold a connection for ever. */
  requestTimeoutMs: number
  /** Answers what is no HTTP or does not arrive in time; Node does without it, by a status without a body. */
  onMalformed?: (error: NodeJS.ErrnoException, socket: Socket) => void
}

/** What takes connections. */
interface Listener {
  /** As a URL has it. */
  address: string
  /** Takes no more connections, and waits until all requests are answered. */
  close(): Promise<void>
}

/**
 * Takes connections at an address; at all addresses of localhost.
 * @throws AybError INVALID_ARGUMENT where the address cannot be listened on
 */
export async function listen(where: ListenAddress, options: ListenOptions): Promise<Listener> {
  const [first = where.host, ...others] =
    where.host === 'localhost' ? (await lookup(where.host, {all: true})).map(({address}) => address) : []
  const server = await listenAt(first, where.port, options).catch((error) => {
    throw cannotListen(where, error)
  })
  const {port} = server.address() as AddressInfo
  // Where there is no IPv6, say, localhost may still have an address of it.
  const attempts = await Promise.allSettled(others.map((host) => listenAt(host, port, options)))
  const servers = [server, ...attempts.flatMap((attempt) => ('value' in attempt ? [attempt.value] : []))]
  return {
    address: boundAddress(server),
    async close() {
      const closed = servers.map((each) => new Promise((resolve) => each.close(resolve)))
      options.connections.close()
      await Promise.all(closed)
    },
  }
}

async function listenAt(host: string, port: number, options: ListenOptions): Promise<Server> {
  const {handler, connections, requestTimeoutMs, onMalformed} = options
  const server = createServer({
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: requestTimeoutMs,
    headersTimeout: requestTimeoutMs,
    connectionsCheckingInterval: CHECK_MS,
    // Its refusal would have no body.
    requireHostHeader: false,
  })
  server.on('connection', (socket) => connections.add(socket))
  server.on('request', (request, response) => {
    connections.begin(request, response)
    handler(request, response)
  })
  // Whatever a client expects besides a plain answer is passed over, as the standard allows.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  if (onMalformed) server.on('clientError', (error, socket) => onMalformed(error, socket as Socket))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({host, port}, resolve)
  })
  // Out of descriptors for a moment: that must not end the process.
  server.on('error', () => {})
  return server
}

/** The error where an address cannot be listened on. */
const cannotListen = ({host, port}: ListenAddress, error: unknown): AybError =>
  new AybError('INVALID_ARGUMENT', `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
    remedy: {kind: 'listen-elsewhere'},
    cause: error,
  })

/** Where a server listens, as a URL has it. */
function boundAddress(server: Server): string {
  const {family, address, port} = server.address() as AddressInfo
  return `${family === 'IPv6' ? `[${address}]` : address}:${port}`
}
