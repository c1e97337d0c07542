import {connect, type Socket} from 'node:net'
import {abortable} from '../../lib/abort.ts'

/** Where to open a socket: the path of a Unix socket, or an IP address. */
export type SocketAddress = {path: string} | {host: string; port: number}

/** A connected socket, which an abort during the attempt destroys. It keeps an error listener for good. */
export async function openSocket(
  address: SocketAddress,
  signal: AbortSignal,
  keepAliveDelayMs?: number,
): Promise<Socket> {
  const keepAlive =
    keepAliveDelayMs === undefined ? {} : {keepAlive: true, keepAliveInitialDelay: keepAliveDelayMs}
  const socket = connect({...address, ...keepAlive, noDelay: true})
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    // The listener stays: an error without a listener would end the process.
    socket.on('error', reject)
  })
  try {
    await abortable(connected, signal)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}
