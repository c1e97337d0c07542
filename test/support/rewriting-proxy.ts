import {type AddressInfo, connect, createServer, type Socket} from 'node:net'

export interface RewritingProxy {
  port: number
  close(): Promise<void>
}

/**
 * Passes sessions without TLS on to a PostgreSQL server, and replaces a text in what the server answers.
 * @throws Error where the two texts differ in length: messages carry their own
 */
export async function startRewritingProxy(
  server: {host: string; port: number},
  text: string,
  replacement: string,
): Promise<RewritingProxy> {
  if (text.length !== replacement.length) throw new Error(`${text} and ${replacement} differ in length`)
  const sockets = new Set<Socket>()
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
    // Each answer of interest is far smaller than a packet, so it comes in one piece.
    upstream.on('data', (bytes) => {
      client.write(Buffer.from(bytes.toString('latin1').replaceAll(text, replacement), 'latin1'))
    })
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  return {
    port: (listener.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        listener.close(() => resolve())
      }),
  }
}
