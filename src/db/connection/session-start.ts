import type {Socket} from 'node:net'
import type pg from 'pg'
import {abortable} from '../../lib/abort.ts'
import {closedEarly, isServerError, loginRefused} from './host-failure.ts'
import {guard} from './login/guard.ts'
import {Login} from './login/login.ts'
import type {HostSettings, Settings} from './settings/settings.ts'
import {isTls} from './tls.ts'

/** What pg's client has at run time beside its declared types. */
export type StartedClient = pg.Client & {processID: number | null; secretKey: number | null}

/** Who logs in where, and with which client. */
interface SessionStart {
  driver: {Client: typeof pg.Client}
  host: HostSettings
  settings: Settings
  applicationName: string
}

/**
 * Logs in over a connected socket, which the caller destroys when this throws.
 * pg gets every setting and a connected stream, and sees only the messages after the log-in: none of its own
 * rules for environment, TLS or passwords apply.
 * @throws HostFailure, errors of pg, or the signal's reason
 */
export async function startSession(
  stream: Socket,
  {driver, host, settings, applicationName}: SessionStart,
  signal: AbortSignal,
): Promise<StartedClient> {
  // The socket may have closed since the last event.
  if (stream.destroyed) throw stream.errored ?? closedEarly()
  const login = new Login({
    user: settings.user,
    password: host.password,
    keepsPassword: host.keepsPassword ?? false,
    channelBinding: settings.channelBinding,
    requireAuth: settings.requireAuth,
    certificate: isTls(stream) ? stream.getPeerCertificate().raw : null,
    warnings: settings.warnings,
  })
  const client = new driver.Client({
    host: host.host,
    port: host.port,
    user: settings.user,
    database: settings.database,
    stream: () => alreadyConnected(stream),
    ssl: false,
    sslnegotiation: 'postgres',
    application_name: applicationName,
    connectionTimeoutMillis: 0,
    keepAlive: false,
    pipeline: true,
  })
  const startup = {
    user: settings.user,
    database: settings.database,
    application_name: applicationName,
    // PgBouncer refuses the parameter, so it goes out only where somebody asked for it.
    ...(settings.startupOptions === undefined ? {} : {options: settings.startupOptions}),
  }
  Object.assign(client, {getStartupConf: () => startup})
  // A killed backend emits an error on the client; without a listener it would end the process.
  client.on('error', () => {})

  const hungUp = new Promise<never>((_, reject) => {
    stream.once('close', () => reject(closedEarly()))
  })
  const ready = client.connect()
  guard(stream, login)
  try {
    await abortable(Promise.race([ready, hungUp]), signal)
  } catch (error) {
    const isRefused = login.hasBegun && isServerError(error) && error.code === '28000'
    throw isRefused ? loginRefused(error, settings.user, {isUnderWay: login.isUnderWay}) : error
  }
  return client as StartedClient
}

/** pg calls `connect` on the stream that it is given, and starts at the event. */
function alreadyConnected(stream: Socket): Socket {
  const connect = () => {
    process.nextTick(() => stream.emit('connect'))
    return stream
  }
  return Object.assign(stream, {connect})
}
