import {Agent, type IncomingMessage, request} from 'node:http'
import {TOKEN} from './serve.ts'
import {until} from './until.ts'

/** What came of one server-sent event. */
interface ServerEvent {
  event: string
  id: string
  data: {schema: string; view: string; refreshedAt: string; durationMs: number}
}

export interface EventListener {
  answer: IncomingMessage
  /** All that has come. */
  events(): ServerEvent[]
  /** Waits until so many events have come. */
  untilEvents(count: number): Promise<ServerEvent[]>
  /** Resolves when the answer has ended: true in good order, false by a lost connection. */
  ended: Promise<boolean>
  close(): void
}

/**
 * Listens to the refreshes of a view on a connection of its own; resolves when the server has said that it
 * listens.
 */
export function listenTo(
  {origin}: {origin: string},
  view: string,
  {lastEventId, token = TOKEN}: {lastEventId?: string; token?: string | null} = {},
): Promise<EventListener> {
  const {hostname, port} = new URL(origin)
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...{hostname, port, path: `/api/collections/${encodeURIComponent(view)}/events`},
      agent: new Agent({keepAlive: false}),
      headers: {
        ...(token === null ? {} : {authorization: `Bearer ${token}`}),
        ...(lastEventId === undefined ? {} : {'last-event-id': lastEventId}),
      },
    })
    outgoing.on('error', reject)
    outgoing.on('response', (answer) => {
      let text = ''
      const events = () => text.split('\n\n').slice(0, -1).flatMap(parseEvent)
      const listener: EventListener = {
        answer,
        events,
        untilEvents: async (count) => {
          await until(() => events().length >= count, {what: `${count} events`, timeoutMs: 20_000})
          return events()
        },
        ended: new Promise((end) => {
          answer.on('end', () => end(true))
          answer.on('error', () => end(false))
        }),
        close: () => outgoing.destroy(),
      }
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        if (text.startsWith(': listening\n\n')) resolve(listener)
      })
      answer.on('end', () => reject(new Error(`no events: ${answer.statusCode} ${text}`)))
      answer.on('error', reject)
    })
    outgoing.end()
  })
}

function parseEvent(block: string): ServerEvent[] {
  const fields = Object.fromEntries(
    block.split('\n').map((line) => {
      const [name = '', value = ''] = line.split(/: ?(.*)/)
      return [name, value]
    }),
  )
  if (fields.event === undefined) return []
  return [{event: fields.event, id: fields.id ?? '', data: JSON.parse(fields.data ?? '')}]
}
