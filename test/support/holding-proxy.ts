import {once} from 'node:events'
import {type AddressInfo, connect, createServer, type Socket} from 'node:net'

export interface HoldingProxy {
  /** The same database as that URL's, by way of the proxy. */
  through(url: string): string
  close(): Promise<void>
}

/**
 * Passes sessions without TLS on to a PostgreSQL server. Until `hold` is done, the first answer that
 * contains the text is held back, with all that follows on its connection.
 */
export async function startHoldingProxy(
  server: {host: string; port: number},
  text: string,
  hold: () => Promise<void>,
): Promise<HoldingProxy> {
  const sockets = new Set<Socket>()
  let isSeen = false
  const listener = createServer((client) => {
    const upstream = connect(server.port, server.host)
    for (const [socket, peer] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => peer.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        peer.destroy()
      })
    }
    client.pipe(upstream)
    upstream.on('data', async (bytes) => {
      if (!isSeen && bytes.includes(text)) {
        isSeen = true
        upstream.pause()
        await hold()
      }
      client.write(bytes)
      upstream.resume()
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    through: (url) => {
      const changed = new URL(url)
      changed.hostname = '127.0.0.1'
      changed.port = String((listener.address() as AddressInfo).port)
      return changed.href
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        listener.close(() => resolve())
      }),
  }
}
