import {FREE_CONNECTIONS_HINT} from '../../lib/failures/connections.ts'
import {oneLine, presentable} from '../../lib/outside-text.ts'
import {type ConnectionTarget, isSocketHost} from './connection-target.ts'

/** Why the connection to one host failed, and what to check. */
export class HostFailure extends Error {
  override readonly name = 'HostFailure'
  readonly hint: string
  readonly sqlstate: string | undefined
  readonly timeoutMs: number | undefined
  /**
   * The kind of failure. Only after a network failure or for an unsuitable server is the next host tried. A
   * log-in that was refused half way is not tried again with or without encryption.
   */
  readonly kind: 'network' | 'unsuitable' | 'encryption' | 'server' | 'login'

  constructor(
    kind: HostFailure['kind'],
    message: string,
    hint: string,
    more: {sqlstate?: string | undefined; timeoutMs?: number; cause?: unknown} = {},
  ) {
    super(oneLine(presentable(message)), {cause: more.cause})
    this.kind = kind
    this.hint = hint
    this.sqlstate = more.sqlstate
    this.timeoutMs = more.timeoutMs
  }

  /** Whether to try the next host. Like libpq, ayb stops if a running server refuses the log-in. */
  get isWorthNextHost(): boolean {
    return this.kind === 'network' || this.kind === 'unsuitable' || this.sqlstate === '57P03'
  }
}

/** A network error in plain words. */
export function networkFailure(error: unknown, target: ConnectionTarget): HostFailure {
  const cause = unwrap(error)
  const socket = isSocketHost(target.host)
  switch (codeOf(cause)) {
    case 'ECONNREFUSED':
      return new HostFailure(
        'network',
        'connection refused',
        socket
          ? 'is the server running? a socket file without a server is left behind by a crash'
          : 'is the server running there? check the host and port',
        {cause},
      )
    case 'ENOENT':
      return new HostFailure(
        'network',
        'no such socket',
        'is the server running? check the directory and the port',
        {
          cause,
        },
      )
    case 'ENOTFOUND':
    case 'ENODATA':
      return new HostFailure('network', 'unknown host', 'check the spelling of the host name', {cause})
    case 'EAI_AGAIN':
      return new HostFailure(
        'network',
        'the host name could not be looked up',
        'is the name server reachable?',
        {
          cause,
        },
      )
    case 'EACCES':
    case 'EPERM':
      return new HostFailure(
        'network',
        'permission denied',
        'check who may use the socket, or the firewall',
        {cause},
      )
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return new HostFailure(
        'network',
        'the host cannot be reached',
        'check the network, the VPN and the firewall',
        {
          cause,
        },
      )
    case 'ETIMEDOUT':
      return new HostFailure('network', 'no answer', 'check the host, the port and the firewall', {cause})
    case 'ECONNRESET':
    case 'EPIPE':
      return closedEarly(cause)
    default:
      // TLS 1.3 reports a refused client certificate only after the handshake.
      return /^ERR_(SSL|OSSL)/.test(codeOf(cause) ?? '')
        ? handshakeRefused(cause)
        : new HostFailure('network', wordsOf(cause), 'check the host and port', {cause})
  }
}

/** The server hung up before it said that the session is ready. */
export const closedEarly = (cause?: unknown) =>
  new HostFailure(
    'network',
    'the server closed the connection',
    'is this the port of a PostgreSQL server? its log may say more',
    {cause},
  )

/** The server did not answer completely within the limit of milliseconds. */
export const timedOut = (timeoutMs: number) =>
  new HostFailure(
    'network',
    `no answer after ${timeoutMs / 1000} s`,
    'check the host, the port and the firewall, or allow more seconds with PGCONNECT_TIMEOUT',
    {timeoutMs},
  )

/** The TLS handshake failed. */
export const handshakeRefused = (cause: unknown) =>
  new HostFailure(
    'encryption',
    `the TLS handshake failed (${codeOf(cause) ?? wordsOf(cause)})`,
    'check the TLS versions, sslcert and sslkey, and the log of the server',
    {cause},
  )

/** The answer does not follow the PostgreSQL protocol. */
export const notPostgres = () =>
  new HostFailure('server', 'what answers there is not a PostgreSQL server', 'check the host and port')

/**
 * The server refused the log-in after it had asked for a password. SQLSTATE 28000 in the middle of the
 * exchange means that the server detected somebody in between.
 */
export const loginRefused = (cause: Error, user: string, {isUnderWay}: {isUnderWay: boolean}) =>
  new HostFailure(
    'login',
    cause.message,
    isUnderWay
      ? 'where the server speaks of channel binding, somebody stands between and decrypts: connect to the server itself, or, if a proxy of yours does that, use channel_binding=disable'
      : mayNotLogIn(user),
    {sqlstate: '28000', cause},
  )

const mayNotLogIn = (user: string): string =>
  `check that role ${JSON.stringify(user)} exists, has LOGIN, and may come in from here by the server's pg_hba.conf, or name another user`

/** A pg or network error while a session starts; server errors are told apart by SQLSTATE. */
export function startupFailure(
  error: unknown,
  target: ConnectionTarget,
  passwordSource: string | null,
): HostFailure {
  if (error instanceof HostFailure) return error
  const sqlstate = codeOf(error)
  if (!isServerError(error) || sqlstate === undefined) return networkFailure(error, target)
  const more = {sqlstate, cause: error}
  const said = error.message
  switch (sqlstate) {
    case '28P01':
      return new HostFailure(
        'server',
        'password authentication failed',
        passwordSource
          ? `check the user and the password, which came from ${passwordSource}`
          : 'check the user and the password',
        more,
      )
    case '28000':
      return new HostFailure('server', said, mayNotLogIn(target.user), more)
    case '3D000':
      return new HostFailure(
        'server',
        'the database does not exist',
        'check its name, or create it with createdb',
        more,
      )
    case '53300':
      return new HostFailure('server', `too many connections (${said})`, FREE_CONNECTIONS_HINT, more)
    case '57P03':
      return new HostFailure(
        'server',
        said,
        'the server is starting up or shutting down: try again in a moment',
        more,
      )
    default:
      return new HostFailure(
        'server',
        said,
        `the server answered with SQLSTATE ${sqlstate}; its log may say more`,
        more,
      )
  }
}

/** Whether Postgres itself sent the error, as opposed to the driver or the network. */
export const isServerError = (error: unknown): error is Error & {severity: string; code?: string} =>
  error instanceof Error && 'severity' in error && typeof error.severity === 'string'

/** The last of the addresses that Node tried at once: the AggregateError around them has no message. */
function unwrap(error: unknown): unknown {
  return error instanceof AggregateError && error.errors.length > 0 ? error.errors.at(-1) : error
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

function wordsOf(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error)
  return words === '' ? (codeOf(error) ?? 'unknown failure') : words
}
