import type {Server} from 'node:http'
import type {AddressInfo} from 'node:net'
import {AybError, messageOf} from '../lib/errors.ts'
import type {ListenAddress} from '../lib/listen-address.ts'

/** The error where an address cannot be listened on. */
export const cannotListen = ({host, port}: ListenAddress, error: unknown): AybError =>
  new AybError('INVALID_ARGUMENT', `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
    hint: 'choose another address with --listen',
    cause: error,
  })

/** Where a server listens, as a URL has it. */
export function boundAddress(server: Server): string {
  const {family, address, port} = server.address() as AddressInfo
  return `${family === 'IPv6' ? `[${address}]` : address}:${port}`
}
