import type {Socket} from 'node:net'
import type pg from 'pg'
import {abortable} from '../lib/abort.ts'
import {closedEarly, HostFailure, notPostgres} from './host-failure.ts'
import type {HostSettings, Settings} from './settings.ts'
import {isTls} from './tls.ts'

/** The messages that a server may begin with: authentication, error, notice, protocol negotiation. */
const FIRST_LETTERS = 'RENv'

/** What pg's client has at run time beside its declared types. */
export type StartedClient = pg.Client & {processID: number | null; secretKey: number | null}

/**
 * Logs in over a connected socket, which the caller destroys when this throws.
 * pg is given every setting and a connected stream: none of its own rules for environment, TLS or passwords apply.
 * @throws HostFailure, errors of pg, or the signal's reason
 */
export async function startSession(
  Client: typeof pg.Client,
  stream: Socket,
  host: HostSettings,
  settings: Settings,
  applicationName: string,
  signal: AbortSignal,
): Promise<StartedClient> {
  // It may have closed since the last event that anybody waited for.
  if (stream.destroyed) throw closedEarly()
  let isBindingOffered = false
  const password = () => {
    if (settings.isChannelBindingRequired && !isBindingOffered) throw bindingMissing()
    if (host.password === undefined) throw passwordMissing(settings.warnings)
    return host.password
  }
  const client = new Client({
    host: host.host,
    port: host.port,
    user: settings.user,
    database: settings.database,
    password,
    stream: () => alreadyConnected(stream),
    ssl: false,
    sslnegotiation: 'postgres',
    enableChannelBinding: settings.isChannelBindingRequired,
    application_name: applicationName,
    connectionTimeoutMillis: 0,
    keepAlive: false,
    pipeline: true,
    // As libpq: no limit to the iterations that the server stored the password with.
    ...{scramMaxIterations: 0},
  })
  const startup = {
    user: settings.user,
    database: settings.database,
    application_name: applicationName,
    // PgBouncer refuses the parameter, so it goes out only where somebody asked for it.
    ...(settings.startupOptions === undefined ? {} : {options: settings.startupOptions}),
  }
  Object.assign(client, {getStartupConf: () => startup})
  // A killed backend is an event on the client; without a listener it would end the process.
  client.on('error', () => {})
  client.connection.on('authenticationSASL', ({mechanisms}: {mechanisms: string[]}) => {
    isBindingOffered = isTls(stream) && mechanisms.includes('SCRAM-SHA-256-PLUS')
  })

  const hungUp = new Promise<never>((_, reject) => {
    stream.once('close', () => reject(closedEarly()))
  })
  const ready = client.connect()
  guardParser(stream)
  await abortable(Promise.race([ready, hungUp]), signal)
  if (settings.isChannelBindingRequired && !isBindingOffered) throw bindingMissing()
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

/** pg's parser throws on what it does not know (GSSAPI, garbage), out of an event, which would end the process. */
function guardParser(stream: Socket): void {
  const [parse] = stream.listeners('data')
  if (!parse) throw new Error('pg does not listen to its stream')
  let isFirst = true
  stream.removeAllListeners('data')
  stream.on('data', (bytes: Buffer) => {
    try {
      if (isFirst && !FIRST_LETTERS.includes(String.fromCharCode(bytes[0] ?? 0))) throw notPostgres()
      isFirst = false
      parse.call(stream, bytes)
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  })
}

const passwordMissing = (warnings: string[]) =>
  new HostFailure(
    'server',
    'the server asks for a password, and there is none',
    ['set PGPASSWORD or add a line to ~/.pgpass', ...warnings].join('; '),
  )

const bindingMissing = () =>
  new HostFailure(
    'server',
    'the server does not offer channel binding, which channel_binding=require asks for',
    'it takes TLS and a password kept as scram-sha-256',
  )
