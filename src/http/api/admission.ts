import type {FastifyInstance, FastifyRequest} from 'fastify'
import {invalidArgument} from '../../lib/errors.ts'
import type {ListenAddress} from '../../lib/listen-address.ts'
import type {Connections} from '../connections.ts'
import {HttpError} from './errors.ts'
import type {RefusalLog} from './refusal-log.ts'

interface AdmissionOptions {
  listen: ListenAddress
  /** Further host names, in lower case, that requests may use. */
  allowedHosts: readonly string[]
  connections: Connections
  refusals: RefusalLog
}

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1']
const PROBES = ['/healthz', '/readyz']

/** Refuses requests before any route sees them; for an app that has no routes yet. */
export function admit(app: FastifyInstance, options: AdmissionOptions): void {
  const {connections, refusals} = options
  app.addHook('onRequest', async (request, reply) => {
    const {socket, httpVersion} = request.raw
    if (connections.isForProbes(socket) && !PROBES.includes(request.routeOptions.url ?? '')) {
      refusals.tell('too many connections are open', request)
      reply.header('connection', 'close')
      throw new HttpError(
        'TOO_MANY_CONNECTIONS',
        'the server is answering too many requests already',
        'try again',
      )
    }
    const {host} = request.headers
    if (host === undefined) {
      if (httpVersion === '1.0') return
      throw invalidArgument('the request has no Host header', 'send the name and port of the server as Host')
    }
    if (isRightHost(host, request, options)) return
    refusals.tell(
      `its Host is ${JSON.stringify(host.slice(0, 100))}, which --allowed-host does not name`,
      request,
    )
    throw new HttpError(
      'HOST_NOT_ALLOWED',
      `this server does not answer as ${JSON.stringify(host)}`,
      'use the address that it listens on; whoever runs it can allow more names',
    )
  })
}

/**
 * Whether the Host of a request is a name of this server. Any website can let its own name resolve to
 * 127.0.0.1 and then read the answers of a server there (DNS rebinding); such requests carry the name of that
 * site. ayb does not know the names of a server that others can reach, so such a server checks only if
 * --allowed-host is given.
 */
function isRightHost(
  header: string,
  {raw}: FastifyRequest,
  {listen, allowedHosts}: AdmissionOptions,
): boolean {
  const {localAddress = ''} = raw.socket
  const own = localAddress.replace(/^::ffff:/, '')
  const isLoopback = /^127\./.test(own) || own === '::1'
  const isEveryAddress = /^[0.:]+$/.test(listen.host)
  if (allowedHosts.length === 0 && (!isLoopback || isEveryAddress)) return true
  const name = hostName(header)
  return (
    name !== null &&
    (name === own ||
      name === listen.host.toLowerCase() ||
      (isLoopback && LOOPBACK_NAMES.includes(name)) ||
      allowedHosts.includes(name))
  )
}

/** The name or address in a Host header, without its port; null where there is none. */
function hostName(header: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+?)\.?)(?::\d*)?$/i.exec(header)
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null
}
