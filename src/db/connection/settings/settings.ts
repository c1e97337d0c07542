import {existsSync} from 'node:fs'
import {isIP} from 'node:net'
import {userInfo} from 'node:os'
import {timerMs} from '../../../lib/timer.ts'
import {badSettings} from '../connection-error.ts'
import {socketPath} from '../connection-target.ts'
import type {ChannelBindingMode} from '../login/login.ts'
import {type Conninfo, PG_VARIABLES, parseConnectionString} from './conninfo.ts'
import {findPassword, readPasswordFile, SOCKET_DIRECTORIES} from './pgpass.ts'
import {type AuthRequirement, parseRequireAuth} from './require-auth.ts'
import {readService} from './service-file.ts'
import {type Lookup, oneOf, readTlsSettings, type TlsSettings} from './tls-settings.ts'

const DEFAULT_PORT = 5432
const DEFAULT_CONNECT_TIMEOUT_SECONDS = 10
const DEFAULT_KEEPALIVE_SECONDS = 10

const SESSION_ATTRS = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const
export type SessionAttrs = (typeof SESSION_ATTRS)[number]

/**
 * Settings of libpq that protect the connection. Ignoring one silently would protect less than the user asked
 * for.
 */
const UNSUPPORTED: Readonly<Record<string, readonly string[]>> = {
  requirepeer: [],
  sslcrldir: [],
  replication: ['0', 'false', 'off', 'no'],
  gssencmode: ['disable', 'prefer'],
  sslcertmode: ['allow', 'disable'],
}

/** One server to try. */
export interface HostSettings {
  /** A name, an address or a socket directory, for the check of certificates and for messages. */
  host: string
  /** The IP address to use instead of looking the name up. */
  address: string | undefined
  port: number
  password: string | undefined
  /** Where the password came from, for people; null without one. */
  passwordSource: string | null
  /**
   * Whether the password itself is not told to a server that asks for that, over a connection without TLS.
   */
  keepsPassword?: boolean
}

/** All settings of a connection. */
export interface Settings {
  hosts: HostSettings[]
  /** False if everything is default, which may not be what the user meant. */
  isServerNamed: boolean
  database: string
  user: string
  tls: TlsSettings
  channelBinding: ChannelBindingMode
  /** Undefined if any log-in method is allowed. */
  requireAuth: AuthRequirement | undefined
  sessionAttrs: SessionAttrs
  shouldShuffleHosts: boolean
  /** For each host; undefined for no limit. */
  connectTimeoutMs: number | undefined
  /** Undefined without keepalives. */
  keepAliveDelayMs: number | undefined
  /** The server's command-line options, only where the user asked for some. */
  startupOptions: string | undefined
  /** The settings that are ignored, and why. */
  warnings: string[]
}

/**
 * psql's settings: connection string, then service file, then PG* variables, then defaults.
 * @throws AybError CONNECTION_FAILED
 */
export function resolveSettings(
  databaseUrl: string | undefined,
  env: NodeJS.ProcessEnv,
  urlName = '--database-url',
): Settings {
  const account = osAccount()
  const home = env.HOME || account?.homedir
  const given = connectionString(databaseUrl, env, urlName)
  const serviceName = given.get('service') ?? env.PGSERVICE
  const service = serviceName
    ? readService(serviceName, env, home, given.get('servicefile'))
    : new Map<string, string>()
  const get: Lookup = (name) => {
    const variable = PG_VARIABLES[name]
    const value = given.get(name) ?? service.get(name) ?? (variable ? env[variable] : undefined)
    return value || undefined
  }
  for (const [name, harmless] of Object.entries(UNSUPPORTED)) {
    const value = get(name)
    if (value && !harmless.includes(value)) {
      throw badSettings(`${name}=${JSON.stringify(value)} is not supported`, `leave ${name} out`)
    }
  }

  const user = get('user') ?? account?.username
  if (!user) {
    const id = process.getuid?.()
    throw badSettings(
      // The wording of psql.
      id === undefined ? 'no user is named' : `local user with ID ${id} does not exist`,
      'name the user to connect as: set PGUSER, or write postgres://user@host/database',
    )
  }
  const database = get('dbname') ?? user
  const warnings: string[] = []
  const requireAuth = get('require_auth')
  return {
    hosts: withPasswords(hostList(get), {database, user, get, env, home, warnings}),
    isServerNamed: (get('host') ?? get('hostaddr') ?? get('port')) !== undefined,
    database,
    user,
    tls: readTlsSettings(get, env, home),
    channelBinding: oneOf(get, 'channel_binding', ['disable', 'prefer', 'require'], 'prefer'),
    requireAuth: requireAuth === undefined ? undefined : parseRequireAuth(requireAuth),
    sessionAttrs: oneOf(get, 'target_session_attrs', SESSION_ATTRS, 'any'),
    shouldShuffleHosts: oneOf(get, 'load_balance_hosts', ['disable', 'random'], 'disable') === 'random',
    connectTimeoutMs: positiveMs(integer(get, 'connect_timeout', DEFAULT_CONNECT_TIMEOUT_SECONDS)),
    keepAliveDelayMs: keepAliveDelayMs(get),
    startupOptions: get('options'),
    warnings,
  }
}

function connectionString(
  databaseUrl: string | undefined,
  env: NodeJS.ProcessEnv,
  urlName: string,
): Conninfo {
  if (databaseUrl !== undefined) {
    if (databaseUrl.trim() === '') {
      throw badSettings(`${urlName} is empty`, 'leave it out to use DATABASE_URL or the PG* variables')
    }
    return parseConnectionString(databaseUrl, urlName)
  }
  for (const name of ['AYB_DATABASE_URL', 'DATABASE_URL']) {
    const value = env[name]
    if (value) return parseConnectionString(value, name)
  }
  return new Map()
}

type Address = Pick<HostSettings, 'host' | 'address' | 'port'>

function hostList(get: Lookup): Address[] {
  const names = get('host')?.split(',')
  const addresses = get('hostaddr')?.split(',')
  const ports = get('port')?.split(',') ?? ['']
  const count = (addresses ?? names ?? ['']).length
  if (names && names.length !== count) {
    throw badSettings(`${names.length} hosts, but ${count} in hostaddr`, 'give as many addresses as hosts')
  }
  if (ports.length !== 1 && ports.length !== count) {
    throw badSettings(
      `${ports.length} ports for ${count} hosts`,
      'give one port for all, or as many as hosts',
    )
  }
  return Array.from({length: count}, (_, index) => {
    const port = portNumber(ports[ports.length === 1 ? 0 : index] ?? '')
    const address = addresses?.[index] || undefined
    if (address !== undefined && isIP(address) === 0) {
      throw badSettings(`hostaddr: ${JSON.stringify(address)} is not an IP address`, 'put names into host')
    }
    return {host: names?.[index] || address || defaultHost(port), address, port}
  })
}

/**
 * The message leaves the text out: in `postgres://user:secret/db` the password stands in the place of the
 * port.
 */
function portNumber(text: string): number {
  if (text === '') return DEFAULT_PORT
  const port = /^\s*\d+\s*$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw badSettings(
    'the port is not a number from 1 to 65535',
    'write host:5432, and @ between a password and the host',
  )
}

function defaultHost(port: number): string {
  return SOCKET_DIRECTORIES.find((directory) => existsSync(socketPath(directory, port))) ?? 'localhost'
}

/** Whose password to look for, and where. */
interface PasswordLookup {
  database: string
  user: string
  get: Lookup
  env: NodeJS.ProcessEnv
  home: string | undefined
  /** Takes what is wrong with the password file. */
  warnings: string[]
}

function withPasswords(
  hosts: Address[],
  {database, user, get, env, home, warnings}: PasswordLookup,
): HostSettings[] {
  const password = get('password')
  if (password !== undefined) {
    const passwordSource = env.PGPASSWORD === password ? 'PGPASSWORD' : 'the connection settings'
    return hosts.map((host) => ({...host, password, passwordSource}))
  }
  const path = get('passfile') ?? (home ? `${home}/.pgpass` : undefined)
  const {text, warning} = path ? readPasswordFile(path) : {text: null, warning: null}
  if (warning) warnings.push(warning)
  return hosts.map((host) => {
    const found =
      text === null ? undefined : findPassword(text, {database, user, host: host.host, port: host.port})
    return {...host, password: found, passwordSource: found === undefined ? null : (path ?? null)}
  })
}

function integer(get: Lookup, name: string, fallback: number): number {
  const text = get(name)
  if (text === undefined) return fallback
  if (/^\s*[+-]?\d{1,9}\s*$/.test(text)) return Number(text)
  throw badSettings(
    `${name}: ${JSON.stringify(text)} is not a whole number`,
    `write the seconds, such as ${name}=10`,
  )
}

function positiveMs(seconds: number): number | undefined {
  return seconds > 0 ? timerMs(seconds * 1000) : undefined
}

function keepAliveDelayMs(get: Lookup): number | undefined {
  if (integer(get, 'keepalives', 1) === 0) return undefined
  return (
    positiveMs(integer(get, 'keepalives_idle', DEFAULT_KEEPALIVE_SECONDS)) ?? DEFAULT_KEEPALIVE_SECONDS * 1000
  )
}

function osAccount(): {username: string; homedir: string} | undefined {
  try {
    return userInfo()
  } catch {
    // A container can run under a user id without a name.
    return undefined
  }
}
