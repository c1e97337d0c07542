import {startAnswerProxy} from './answer-proxy.ts'

interface HoldingProxy {
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
  let isSeen = false
  const {port, close} = await startAnswerProxy(server, async (bytes, client, upstream) => {
    if (!isSeen && bytes.includes(text)) {
      isSeen = true
      upstream.pause()
      await hold()
    }
    client.write(bytes)
    upstream.resume()
  })
  return {
    through: (url) => {
      const changed = new URL(url)
      changed.hostname = '127.0.0.1'
      changed.port = String(port)
      return changed.href
    },
    close,
  }
}
