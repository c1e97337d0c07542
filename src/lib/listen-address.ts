import {invalidArgument} from './errors.ts'

/** Where a server listens. */
export interface ListenAddress {
  host: string
  port: number
}

/** All addresses, of IPv6 and of IPv4. */
export const EVERY_ADDRESS = '::'

/**
 * `host:port`, with IPv6 addresses in brackets; `:port` is all addresses. `what` is what the text was given
 * as.
 * @throws AybError INVALID_ARGUMENT
 */
export function parseListenAddress(text: string, what: string, example: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port > 65_535) {
    throw invalidArgument(
      `${what}: ${JSON.stringify(text)} is not an address to listen on`,
      `for example: ${example}, or :${example.split(':')[1]} for all`,
    )
  }
  return {host: match[1] ?? (match[2] || EVERY_ADDRESS), port}
}
