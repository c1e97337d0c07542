import {type AnswerProxy, startAnswerProxy} from './answer-proxy.ts'

/**
 * Passes sessions without TLS on to a PostgreSQL server, and replaces a text in what the server answers.
 * @throws Error where the two texts differ in length: messages carry their own
 */
export async function startRewritingProxy(
  server: {host: string; port: number},
  text: string,
  replacement: string,
): Promise<AnswerProxy> {
  if (text.length !== replacement.length) throw new Error(`${text} and ${replacement} differ in length`)
  // Each answer of interest is far smaller than a packet, so it comes in one piece.
  return startAnswerProxy(server, (bytes, client) => {
    client.write(Buffer.from(bytes.toString('latin1').replaceAll(text, replacement), 'latin1'))
  })
}
