import {lookup} from 'node:dns/promises'
import {createServer, type RequestListener, type Server} from 'node:http'
import type {AddressInfo, Socket} from 'node:net'
import {AybError, messageOf} from '../lib/errors.ts'
import {EVERY_ADDRESS, type ListenAddress} from '../lib/listen-address.ts'
import type {Connections} from './connections.ts'

/** ayb closes a connection that is idle for this long. */
const KEEP_ALIVE_MS = 72_000
/** How often to check for requests that take too long to arrive. */
const CHECK_MS = 5000

const NO_IPV6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL']

interface ListenOptions {
  handler: RequestListener
  connections: Connections
  /**
   * How long a request may take to arrive, in milliseconds: a client that dribbles must not hold a connection
   * for ever.
   */
  requestTimeoutMs: number
  /**
   * Answers input that is not HTTP or arrives too late. Without it, Node answers with a status and no body.
   */
  onMalformed?: (error: NodeJS.ErrnoException, socket: Socket) => void
}

/** A server that accepts connections. */
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
  const server = await listenAt(first, where.port, options)
    .catch((error) => {
      // A machine without IPv6.
      if (first !== EVERY_ADDRESS || !NO_IPV6.includes(error?.code)) throw error
      return listenAt('0.0.0.0', where.port, options)
    })
    .catch((error) => {
      throw cannotListen(where, error)
    })
  const {port} = server.address() as AddressInfo
  // localhost may have an IPv6 address on a machine without IPv6.
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
  // Ignores unknown values of the Expect header, as the standard allows.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  if (onMalformed) server.on('clientError', (error, socket) => onMalformed(error, socket as Socket))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({host, port}, resolve)
  })
  // Running out of file descriptors for a moment must not end the process.
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
