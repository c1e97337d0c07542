import {Readable} from 'node:stream'
import type {FastifyReply} from 'fastify'
import {MOST_PAGE_BYTES} from '../../lib/collection-query.ts'
import {AybError} from '../../lib/errors.ts'
import {WaitingLine} from '../../lib/waiting-line.ts'
import {PIECE_BYTES, PIECE_MS} from '../connections.ts'
import {onceOver} from './until-gone.ts'

/** How many bytes of unread answers may be in memory at once. */
const MOST_BYTES = 64 * 1024 * 1024
/** How long a request waits for room. */
const PATIENCE_MS = 30_000

/** Limits the memory of pages that were read from the database and are not yet sent. */
export class UnreadAnswers {
  readonly #line = new WaitingLine()
  #bytes = 0

  /**
   * Waits until there is room for a page of any size, and keeps it until the answer is sent or its client
   * gone. Returns a function that keeps only so many bytes.
   * @throws AybError CONNECTION_FAILED where there is none for a while, and what the signal aborts with
   */
  async reserve(reply: FastifyReply, signal: AbortSignal): Promise<(bytes: number) => void> {
    let kept = 0
    let isOver = false
    const keep = (bytes: number) => {
      const wanted = isOver ? 0 : bytes
      this.#bytes += wanted - kept
      kept = wanted
      if (this.#hasRoom) this.#line.admit()
    }
    onceOver(reply, () => {
      isOver = true
      keep(0)
    })
    signal.throwIfAborted()
    const enter = () => keep(MOST_PAGE_BYTES)
    if (this.#hasRoom && this.#line.isEmpty) enter()
    else await this.#line.wait({signal, deadline: {afterMs: PATIENCE_MS, reason: noRoom}, onTurn: enter})
    return keep
  }

  get #hasRoom(): boolean {
    return this.#bytes + MOST_PAGE_BYTES <= MOST_BYTES
  }
}

/**
 * The body of an answer, in pieces that the client has to take: a client that reads nothing for a while loses
 * its connection.
 */
export function inPieces(body: Buffer, reply: FastifyReply): Readable {
  const {socket} = reply.request.raw
  // What the system still keeps for it goes, too.
  const timer = setTimeout(() => socket.resetAndDestroy(), PIECE_MS)
  let isOver = false
  onceOver(reply, () => {
    isOver = true
    clearTimeout(timer)
  })
  function* pieces() {
    for (let start = 0; start < body.length && !isOver; start += PIECE_BYTES) {
      timer.refresh()
      yield body.subarray(start, start + PIECE_BYTES)
    }
  }
  return Readable.from(pieces(), {objectMode: false, highWaterMark: 1})
}

const noRoom = (): AybError =>
  new AybError(
    'CONNECTION_FAILED',
    `too many answers stayed unread by their clients for ${PATIENCE_MS / 1000} s`,
    {hint: 'try again'},
  )
