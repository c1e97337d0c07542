import type {Socket} from 'node:net'
import {abortable, withDeadline} from '../../lib/abort.ts'
import type {TlsSettings} from './settings/tls-settings.ts'
import {openSocket, type SocketAddress} from './socket.ts'
import {encrypt} from './tls.ts'

const CANCEL_CODE = 80_877_102
const DEADLINE_MS = 3000

/** The address of the session to cancel, and the TLS settings of its connection. */
export interface CancelTarget {
  address: SocketAddress
  /** What its certificate is checked against. */
  host: string
  isEncrypted: boolean
  tls: TlsSettings
  processId: number
  secretKey: number
}

/**
 * Asks a server, on a separate connection, to cancel the statement of a session. Resolves when the server has
 * the request, at the latest after 3 s. Errors are ignored: the end of the statement shows whether it was
 * canceled.
 */
export async function requestCancel(target: CancelTarget): Promise<void> {
  let open: Socket | undefined
  try {
    await withDeadline(
      DEADLINE_MS,
      () => new Error('no answer'),
      undefined,
      async (signal) => {
        open = await openSocket(target.address, signal)
        const encryption = target.isEncrypted ? 'required' : 'none'
        const socket = await encrypt(open, {encryption, host: target.host, settings: target.tls}, signal)
        const closed = new Promise<void>((resolve) => {
          socket.once('close', () => resolve())
        })
        // The server answers by closing the connection, which Node reports only to a reader.
        socket.resume()
        socket.write(cancelRequest(target.processId, target.secretKey))
        await abortable(closed, signal)
      },
    )
  } catch {
    // Nobody could do anything about it here.
  } finally {
    open?.destroy()
  }
}

function cancelRequest(processId: number, secretKey: number): Buffer {
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(CANCEL_CODE, 4)
  request.writeInt32BE(processId, 8)
  request.writeInt32BE(secretKey, 12)
  return request
}
