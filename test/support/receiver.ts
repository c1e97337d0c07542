import {createServer, type IncomingHttpHeaders, type ServerResponse} from 'node:http'
import type {AddressInfo} from 'node:net'
import type {Notice} from '../../src/lib/records/notices.ts'
import {PATIENCE_MS, until} from './until.ts'

/** What a receiver of notices got. */
interface Received {
  path: string
  headers: IncomingHttpHeaders
  body: string
  at: number
}

export interface Receiver {
  /** With a token in its path. */
  url: string
  received: Received[]
  /** What was received, parsed, of types that begin like that. */
  notices(type?: string): Notice[]
  untilReceived(count: number): Promise<Received[]>
  /** How it answers from now on: with that status, or by itself. */
  answer: number | ((response: ServerResponse) => void)
}

/** A token that must appear nowhere but at the receiver. */
export const URL_TOKEN = 'T0KEN-of-the-url'

/** Starts a receiver of webhooks. */
export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk
    })
    request.on('end', () => {
      received.push({path: request.url ?? '', headers: request.headers, body, at: Date.now()})
      const {answer} = receiver
      if (typeof answer === 'number') response.writeHead(answer).end()
      else answer(response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/${URL_TOKEN}`,
    received,
    notices: (type = '') =>
      received.map(({body}) => JSON.parse(body) as Notice).filter((notice) => notice.type.startsWith(type)),
    untilReceived: (count) =>
      until(() => received.length >= count && received, {
        what: `${count} notices`,
        timeoutMs: PATIENCE_MS,
      }),
    answer: 204,
  }
  return receiver
}
