import {once} from 'node:events'
import {type AddressInfo, connect, createServer, type Socket} from 'node:net'

/** ReadyForQuery, outside of a transaction block. */
const READY_FOR_QUERY = 'Z\0\0\0\x05I'

/** How many transactions have ended, as these bytes of the server say. */
export const countTransactions = (bytes: Buffer): number =>
  bytes.toString('latin1').split(READY_FOR_QUERY).length - 1

export interface AnswerProxy {
  port: number
  close(): Promise<void>
}

/**
 * Passes sessions without TLS on to a PostgreSQL server. `answer` passes on what the server answers: it gets
 * the bytes, and the sockets of the client and of the server.
 */
export async function startAnswerProxy(
  server: {host: string; port: number},
  answer: (bytes: Buffer, client: Socket, upstream: Socket) => void,
): Promise<AnswerProxy> {
  const sockets = new Set<Socket>()
  const listener = createServer((client) => {
    const upstream = connect(server.port, server.host)
    tieTogether(client, upstream, sockets)
    client.pipe(upstream)
    upstream.on('data', (bytes) => answer(bytes, client, upstream))
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    port: (listener.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        listener.close(() => resolve())
      }),
  }
}

/** Has each of two sockets end with the other. While a socket is open, the set has the socket. */
export function tieTogether(client: Socket, upstream: Socket, open: Set<Socket>): void {
  for (const [socket, peer] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    open.add(socket)
    socket.on('error', () => peer.destroy())
    socket.on('close', () => {
      open.delete(socket)
      peer.destroy()
    })
  }
}
