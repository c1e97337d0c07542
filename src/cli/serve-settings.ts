import {isIP} from 'node:net'
import {invalidArgument} from '../lib/errors.ts'
import {parseListenAddress} from '../lib/listen-address.ts'
import type {LogLevel} from '../lib/log-level.ts'

const TOKEN = 'AYB_ADMIN_TOKEN'
const SHORTEST_TOKEN = 16

/** The flags of `ayb serve` as they were typed; durations in milliseconds. */
interface ServeFlags {
  listen: string
  'allowed-host'?: string[] | undefined
  'public-collections': boolean
  'all-views': boolean
  'shutdown-timeout'?: number | undefined
  'log-format'?: string | undefined
  'log-level'?: LogLevel | undefined
}

/**
 * The settings of the server.
 * @throws AybError INVALID_ARGUMENT
 */
export function serveSettings(flags: ServeFlags, env: NodeJS.ProcessEnv) {
  return {
    listen: parseListenAddress(flags.listen, '--listen', '127.0.0.1:8090'),
    token: adminToken(env),
    allowedHosts: (flags['allowed-host'] ?? []).map(hostName),
    hasPublicCollections: flags['public-collections'],
    hasAllViews: flags['all-views'],
    collectionsUrl: env.AYB_COLLECTIONS_URL || null,
    shutdownTimeoutMs: flags['shutdown-timeout'] ?? 25_000,
    logFormat: (flags['log-format'] ?? null) as 'pretty' | 'json' | null,
    logLevel: flags['log-level'] ?? null,
  }
}

function hostName(text: string): string {
  const name = text.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  if (isIP(name) !== 0 || /^[\w-]+(\.[\w-]+)*$/.test(name)) return name
  throw invalidArgument(
    `--allowed-host: ${JSON.stringify(text)} is not the name of a host`,
    'give the name alone, without scheme and port, for example: --allowed-host ayb.example.com',
  )
}

function adminToken(env: NodeJS.ProcessEnv): string {
  const token = env[TOKEN] ?? ''
  const example = `for example: export ${TOKEN}=$(openssl rand -hex 24)`
  if (token === '') throw invalidArgument(`${TOKEN} is not set; ayb serve needs a token`, example)
  if (token.length < SHORTEST_TOKEN) {
    throw invalidArgument(`${TOKEN} has fewer than ${SHORTEST_TOKEN} characters`, example)
  }
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw invalidArgument(`${TOKEN} has characters that no header can carry`, example)
  }
  return token
}
