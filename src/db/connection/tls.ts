import {isIP, type Socket} from 'node:net'
import type {TLSSocket} from 'node:tls'
import {abortable} from '../../lib/abort.ts'
import {AybError} from '../../lib/errors.ts'
import {isIssuedFor} from './certificate-name.ts'
import {closedEarly, HostFailure, handshakeRefused, notPostgres} from './host-failure.ts'
import {readTlsFiles, type TlsSettings} from './settings/tls-settings.ts'
import type {SocketAddress} from './socket.ts'

/** SSLRequest: its length, and the code that no protocol version has. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/** What `sslmode` makes of one attempt: `offered` takes what the server has. */
export type Encryption = 'none' | 'offered' | 'required'

/** The attempts of a mode, in order; Unix sockets are never encrypted. */
export function encryptionAttempts({mode}: TlsSettings, address: SocketAddress): readonly Encryption[] {
  if ('path' in address || mode === 'disable') return ['none']
  if (mode === 'allow') return ['none', 'required']
  return mode === 'prefer' ? ['offered', 'none'] : ['required']
}

/**
 * Encrypts a connected socket if the mode asks for encryption. Returns the TLSSocket, or the plain socket.
 * The caller destroys the socket when this throws.
 * @throws HostFailure of kind encryption, or AybError where a certificate file is unusable
 */
export async function encrypt(
  socket: Socket,
  {encryption, host, settings}: {encryption: Encryption; host: string; settings: TlsSettings},
  signal: AbortSignal,
): Promise<Socket | TLSSocket> {
  if (encryption === 'none') return socket
  if (settings.negotiation === 'postgres' && !(await isTlsOffered(socket, signal))) {
    if (encryption === 'offered') return socket
    throw new HostFailure(
      'encryption',
      'the server does not offer TLS',
      settings.mode === 'allow'
        ? 'turn ssl on in the server'
        : `turn ssl on in the server, or lower sslmode=${settings.mode}`,
    )
  }
  return handshake(socket, host, settings, signal)
}

/** Whether a socket is encrypted. */
export const isTls = (socket: Socket): socket is TLSSocket => 'encrypted' in socket

async function isTlsOffered(socket: Socket, signal: AbortSignal): Promise<boolean> {
  const answer = new Promise<Buffer>((resolve, reject) => {
    socket.once('data', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(closedEarly()))
  })
  socket.write(SSL_REQUEST)
  const bytes = await abortable(answer, signal)
  const letter = String.fromCharCode(bytes[0] ?? 0)
  // Bytes after the single letter come from somebody in between, who wants them read as an answer of the
  // server.
  if (bytes.length === 1 && (letter === 'S' || letter === 'N')) return letter === 'S'
  // The text after it may come from anybody, so the error does not show it.
  if (letter === 'E') throw new HostFailure('server', 'the server cannot start a session', 'its log says why')
  throw notPostgres()
}

async function handshake(
  socket: Socket,
  host: string,
  settings: TlsSettings,
  signal: AbortSignal,
): Promise<TLSSocket> {
  // node:tls takes 7 ms to load, so it is loaded only for encrypted sessions.
  const [tls, {X509Certificate}] = await Promise.all([import('node:tls'), import('node:crypto')])
  if (socket.destroyed) throw closedEarly()
  const isFull = settings.mode === 'verify-full'
  const named = settings.sendsServerName && isIP(host) === 0
  try {
    const secured = tls.connect({
      ...readTlsFiles(settings),
      socket,
      ...(named ? {servername: host} : {}),
      ...(settings.negotiation === 'direct' ? {ALPNProtocols: ['postgresql']} : {}),
      // An exception in this callback would end the process.
      checkServerIdentity: (_name, {raw}) => {
        try {
          return !isFull || isIssuedFor(new X509Certificate(raw), host) ? undefined : anotherHost()
        } catch (error) {
          return error instanceof Error ? error : new Error(String(error))
        }
      },
    })
    const ready = new Promise<void>((resolve, reject) => {
      secured.once('secureConnect', resolve)
      secured.once('close', () => reject(closedEarly()))
      secured.on('error', reject)
    })
    await abortable(ready, signal)
    if (settings.negotiation === 'direct' && secured.alpnProtocol !== 'postgresql') throw closedEarly()
    return secured
  } catch (error) {
    if (signal.aborted || error instanceof AybError) throw error
    throw handshakeFailure(error, settings)
  }
}

const anotherHost = () =>
  new HostFailure(
    'encryption',
    'the certificate is for another host',
    'connect under a name that the certificate has, or use sslmode=verify-ca',
  )

function handshakeFailure(error: unknown, {mode, negotiation, rootCert}: TlsSettings): HostFailure {
  const cause = error instanceof Error ? error : new Error(String(error))
  if (cause instanceof HostFailure && cause.kind === 'encryption') return cause
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
  if (cause instanceof HostFailure || code === 'ECONNRESET' || code === 'EPIPE') {
    const hint =
      negotiation === 'direct'
        ? 'sslnegotiation=direct needs PostgreSQL 17 or newer'
        : 'check the TLS versions; the log of the server may say more'
    const why = 'the server closed the connection during the TLS handshake'
    return new HostFailure('encryption', why, hint, {cause})
  }
  if (/^(ERR_|E[A-Z]+$)/.test(code)) return handshakeRefused(cause)
  const hint =
    rootCert === 'system'
      ? 'no public authority vouches for this server: name its own with sslrootcert'
      : `is ${JSON.stringify(rootCert)} (sslrootcert) the authority of this server? sslmode=${mode} checks against it`
  return new HostFailure('encryption', `the certificate was not accepted: ${cause.message}`, hint, {cause})
}
