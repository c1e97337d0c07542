import {isIP} from 'node:net'
import {invalidArgument} from '../lib/errors.ts'
import {parseListenAddress} from '../lib/listen-address.ts'
import type {LogLevel} from '../lib/log-level.ts'

const TOKEN = 'AYB_ADMIN_TOKEN'
const READ_TOKEN = 'AYB_READ_TOKEN'
const SHORTEST_TOKEN = 16

/** The flags of `ayb serve` as they were typed; durations in milliseconds. */
interface ServeFlags {
  listen: string
  'allowed-host'?: string[] | undefined
  'cors-origin'?: string[] | undefined
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
    readToken: readToken(env),
    allowedHosts: (flags['allowed-host'] ?? []).map(hostName),
    corsOrigins: (flags['cors-origin'] ?? []).map(origin),
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

/** A website as browsers name it in the header Origin; `*` for all. */
function origin(text: string): string {
  if (text === '*') return text
  const url = URL.canParse(text) ? new URL(text) : null
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && /^[^/]*:\/\/[^/?#@]+\/?$/.test(text)
  if (isOrigin) return url.origin
  throw invalidArgument(
    `--cors-origin: ${JSON.stringify(text)} is not the origin of a website`,
    'give scheme and host, and a port where it has one, for example: --cors-origin https://app.example.com',
  )
}

function adminToken(env: NodeJS.ProcessEnv): string {
  const token = env[TOKEN] ?? ''
  if (token === '') {
    throw invalidArgument(`${TOKEN} is not set; ayb serve needs a token`, tokenExample(TOKEN))
  }
  return checkedToken(TOKEN, token)
}

function readToken(env: NodeJS.ProcessEnv): string | null {
  const token = env[READ_TOKEN] ?? ''
  if (token === '') return null
  if (token === env[TOKEN]) {
    throw invalidArgument(
      `${READ_TOKEN} is the same as ${TOKEN}, and would let its holders change everything`,
      tokenExample(READ_TOKEN),
    )
  }
  return checkedToken(READ_TOKEN, token)
}

const tokenExample = (name: string): string => `for example: export ${name}=$(openssl rand -hex 24)`

function checkedToken(name: string, token: string): string {
  if (token.length < SHORTEST_TOKEN) {
    throw invalidArgument(`${name} has fewer than ${SHORTEST_TOKEN} characters`, tokenExample(name))
  }
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw invalidArgument(`${name} has characters that no header can carry`, tokenExample(name))
  }
  return token
}
