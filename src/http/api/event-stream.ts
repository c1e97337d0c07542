import type {FastifyReply} from 'fastify'
import {onceOver} from './until-gone.ts'

/** How often to say that the connection is alive. Proxies close connections that are idle for a minute. */
const COMMENT_MS = 15_000
/** A client that leaves so many bytes unread is dropped. */
const MOST_UNREAD_BYTES = 64 * 1024

/** One answer of server-sent events, without end. A client that does not read it loses its connection. */
export class EventStream {
  readonly #reply: FastifyReply
  #wasFull = false

  constructor(reply: FastifyReply) {
    this.#reply = reply
  }

  /** Sends the head of the answer, and a comment, which tells the client that the answer has begun. */
  open(): void {
    const {raw} = this.#reply
    this.#reply.hijack()
    raw.writeHead(200, {
      ...this.#reply.getHeaders(),
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // Has nginx pass on each event at once.
      'x-accel-buffering': 'no',
    } as Record<string, string>)
    this.#write(': listening\n\n')
    const timer = setInterval(() => this.#sayAlive(), COMMENT_MS)
    onceOver(this.#reply, () => clearInterval(timer))
  }

  /** Sends an event. */
  send({event, id, data}: {event: string; id: string; data: unknown}): void {
    this.#write(`event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`)
  }

  /** Ends the answer in good order. */
  end(): void {
    this.#reply.raw.end()
  }

  #sayAlive(): void {
    const isFull = this.#reply.raw.writableNeedDrain
    if (isFull && this.#wasFull) this.#drop()
    else if (!isFull) this.#write(':\n\n')
    this.#wasFull = isFull
  }

  #write(text: string): void {
    const {raw} = this.#reply
    if (raw.destroyed || raw.writableEnded) return
    raw.write(text)
    if (raw.writableLength > MOST_UNREAD_BYTES) this.#drop()
  }

  #drop(): void {
    // What the system still keeps for it goes, too.
    this.#reply.request.raw.socket.resetAndDestroy()
  }
}
