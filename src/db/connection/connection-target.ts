import {oneLine} from '../../lib/outside-text.ts'

/** Where a session is: a host name, an IP address or the directory of a socket, and as whom. */
export interface ConnectionTarget {
  host: string
  port: number
  database: string
  user: string
}

/** Whether a host of libpq means the directory of a Unix socket, `@` standing for the abstract namespace. */
export const isSocketHost = (host: string): boolean => host.startsWith('/') || host.startsWith('@')

/** The file name of the socket in a directory. */
export const socketPath = (directory: string, port: number): string => `${directory}/.s.PGSQL.${port}`

/** The place in messages: `host:port`, or the file of the socket. */
export function where({host, port}: ConnectionTarget): string {
  if (isSocketHost(host)) return oneLine(socketPath(host, port))
  return host.includes(':') ? `[${oneLine(host)}]:${port}` : `${oneLine(host)}:${port}`
}
