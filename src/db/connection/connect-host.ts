import type {LookupAddress} from 'node:dns'
import {isIPv4, isIPv6, type Socket} from 'node:net'
import type pg from 'pg'
import {abortable, withDeadline} from '../../lib/abort.ts'
import {isAybError} from '../../lib/errors.ts'
import {requestCancel} from './cancel.ts'
import {type ConnectionTarget, isSocketHost, socketPath} from './connection-target.ts'
import {HostFailure, networkFailure, startupFailure, timedOut} from './host-failure.ts'
import {requireRole} from './server-role.ts'
import {startSession} from './session-start.ts'
import type {HostSettings, SessionAttrs, Settings} from './settings/settings.ts'
import {openSocket, type SocketAddress} from './socket.ts'
import {encrypt, encryptionAttempts, isTls} from './tls.ts'

/** A session with the server. */
export interface Connected {
  client: pg.Client
  /** The driver's class of queries, which is loaded with the driver alone. */
  Query: typeof pg.Query
  /** As the protocol's BackendKeyData has it: of the backend, or made up by a pooler. */
  processId: number | null
  target: ConnectionTarget
  /** Settings that were passed over, such as a password file that others can read. */
  warnings: string[]
  /**
   * Asks the server to cancel what the session runs now; resolves when the request has been taken, and never
   * rejects.
   */
  cancel(): Promise<void>
  /** From now on the process may end while the connection is open. */
  unref(): void
  /** Closes the connection without notice to the server. */
  destroy(): void
}

/** The settings that are the same for all hosts. */
export interface Attempt {
  settings: Settings
  applicationName: string
}

/** One host, and the requirements for it. */
interface HostAttempt extends Attempt {
  host: HostSettings
  target: ConnectionTarget
  wanted: SessionAttrs
}

/**
 * Connects to one of the addresses of one host, within the limit of the settings.
 * @throws HostFailure, AybError where a local file is unusable, or the outer signal's reason
 */
export function connectToHost(
  attempt: Attempt,
  host: HostSettings,
  wanted: SessionAttrs,
  outer: AbortSignal | undefined,
): Promise<Connected> {
  const {connectTimeoutMs: limitMs, database, user} = attempt.settings
  const target = {host: host.host, port: host.port, database, user}
  const endsAt = limitMs === undefined ? undefined : performance.now() + limitMs
  return withDeadline(limitMs, timedOut, outer, async (signal) => {
    const addresses = await addressesOf(host, target, signal)
    for (const [index, address] of addresses.entries()) {
      const left = addresses.length - index
      // An address that drops all packets must leave time for the next address.
      const shareMs = endsAt === undefined || left === 1 ? undefined : (endsAt - performance.now()) / left
      try {
        return await connectToAddress({...attempt, host, target, wanted}, address, shareMs, signal)
      } catch (error) {
        const isWorthNext = error instanceof HostFailure && error.isWorthNextHost
        if (signal.aborted || left === 1 || !isWorthNext) throw error
      }
    }
    throw new RangeError('a host without an address')
  })
}

async function addressesOf(
  {host, address, port}: HostSettings,
  target: ConnectionTarget,
  signal: AbortSignal,
): Promise<SocketAddress[]> {
  if (address !== undefined) return [{host: address, port}]
  if (isSocketHost(host)) return [{path: socketPath(host.replace(/^@/, '\0'), port)}]
  if (isAddress(host)) return [{host, port}]
  try {
    const found = await abortable(addressesNamed(host), signal)
    return found.map((entry) => ({host: entry.address, port}))
  } catch (error) {
    throw signal.aborted ? error : networkFailure(error, target)
  }
}

/** isIP would run a regular expression that takes 1 ms to compile, only to find that a name is no IPv6 address. */
const isAddress = (host: string): boolean => (host.includes(':') ? isIPv6(host) : isIPv4(host))

const addressesNamed = (host: string): Promise<LookupAddress[]> =>
  new Promise((resolve, reject) => {
    const {lookup} = process.getBuiltinModule('node:dns')
    lookup(host, {all: true, verbatim: true}, (error, found) => (error ? reject(error) : resolve(found)))
  })

/** Tries one address in the one or two ways that sslmode allows. */
async function connectToAddress(
  attempt: HostAttempt,
  address: SocketAddress,
  shareMs: number | undefined,
  signal: AbortSignal,
): Promise<Connected> {
  let first: unknown
  for (const encryption of encryptionAttempts(attempt.settings.tls, address)) {
    const socket = await open(attempt, address, shareMs, signal)
    let isEncrypted = true
    try {
      const wish = {encryption, host: attempt.host.host, settings: attempt.settings.tls}
      // The server starts a backend meanwhile.
      const [stream, driver] = await Promise.all([encrypt(socket, wish, signal), loadDriver()])
      isEncrypted = isTls(stream)
      // A server that refused the password over TLS must not get the password in clear text by refusing.
      const host = {...attempt.host, keepsPassword: isRefusedPassword(first) && !isEncrypted}
      return await login({...attempt, host, driver}, {address, socket, stream}, signal)
    } catch (error) {
      socket.destroy()
      if (signal.aborted) throw error
      const failure = isAybError(error)
        ? error
        : startupFailure(error, attempt.target, attempt.host.passwordSource)
      if (first !== undefined) throw isAboutEncryption(failure) ? first : failure
      // If the server did not offer TLS, the attempt was already without encryption.
      if (!isAboutEncryption(failure) || (encryption === 'offered' && !isEncrypted)) throw failure
      first = failure
    }
  }
  throw first
}

/**
 * Whether to try the same server again with, or without, encryption: pg_hba.conf can have another line for
 * that, also after a refused password. Not if the server detected somebody in between.
 */
function isAboutEncryption(error: unknown): boolean {
  if (isAybError(error)) return true
  if (!(error instanceof HostFailure) || error.kind === 'login') return false
  return error.kind === 'encryption' || error.sqlstate === '28000' || isRefusedPassword(error)
}

const isRefusedPassword = (error: unknown): boolean =>
  error instanceof HostFailure && error.sqlstate === '28P01'

async function open(
  {settings, target}: HostAttempt,
  address: SocketAddress,
  shareMs: number | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  try {
    return await withDeadline(shareMs, timedOut, signal, (share) =>
      openSocket(address, share, settings.keepAliveDelayMs),
    )
  } catch (error) {
    throw signal.aborted || error instanceof HostFailure ? error : networkFailure(error, target)
  }
}

async function loadDriver() {
  const {Client, Query} = await import('./driver.ts')
  return {Client, Query}
}

type Driver = Awaited<ReturnType<typeof loadDriver>>

/** A connected socket, and the stream over it: the socket itself, or TLS. */
interface OpenSocket {
  address: SocketAddress
  socket: Socket
  stream: Socket
}

async function login(
  attempt: HostAttempt & {driver: Driver},
  {address, socket, stream}: OpenSocket,
  signal: AbortSignal,
): Promise<Connected> {
  const {driver, settings, host, target, wanted} = attempt
  // Keeps the address for cancel requests: the name may resolve to another server by then.
  const {remoteAddress, remotePort} = socket
  const client = await startSession(stream, attempt, signal)
  await requireRole(client, wanted, signal)
  return {
    client,
    Query: driver.Query,
    processId: client.processID,
    target,
    warnings: settings.warnings,
    async cancel() {
      const {processID: processId, secretKey} = client
      if (processId === null || secretKey === null) return
      await requestCancel({
        address: remoteAddress && remotePort ? {host: remoteAddress, port: remotePort} : address,
        host: host.host,
        isEncrypted: isTls(stream),
        tls: settings.tls,
        processId,
        secretKey,
      })
    },
    unref() {
      stream.unref()
    },
    destroy() {
      stream.destroy()
      socket.destroy()
    },
  }
}
