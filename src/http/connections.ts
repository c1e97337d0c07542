import {readFileSync} from 'node:fs'
import type {IncomingMessage, ServerResponse} from 'node:http'
import type {Socket} from 'node:net'

/** A client must read each piece of its answer within this time, or ayb drops the connection. */
export const PIECE_BYTES = 256 * 1024
export const PIECE_MS = 30_000

/** One in so many connections is kept for probes. */
const PROBES_SHARE = 16

/** A request and its answer. */
interface Exchange {
  request: IncomingMessage
  response: ServerResponse
  /**
   * When the client has to have taken the answer, as performance.now() tells it; null while the answer is not
   * complete.
   */
  takenBy: number | null
}

/**
 * The connections of a server, of which there are at most so many.
 *
 * When there are too many, ayb does not refuse a new connection: a client that opens connections and sends
 * nothing could then keep all others out, probes of /healthz included. Instead ayb drops the connection that
 * has been idle for the longest, or, if none is idle, a connection whose client sends or reads slowly. If all
 * clients wait for the server, none is dropped: the last places are reserved for probes.
 */
export class Connections {
  readonly #most: number
  readonly #pieceMs: number
  /** In the order in which they fell idle. */
  readonly #open = new Map<Socket, Set<Exchange>>()
  readonly #forProbes = new WeakSet<Socket>()
  #isClosing = false
  #sweep: NodeJS.Timeout | null = null

  constructor(most: number, {pieceMs = PIECE_MS} = {}) {
    this.#most = most
    this.#pieceMs = pieceMs
  }

  get count(): number {
    return this.#open.size
  }

  /** Counts a new connection, for which another one may have to go. */
  add(socket: Socket): void {
    this.#open.set(socket, new Set())
    socket.once('close', () => this.#open.delete(socket))
    this.#sweep ??= setInterval(() => this.#dropUnread(), this.#pieceMs / 6).unref()
    if (this.#open.size <= this.#most - Math.ceil(this.#most / PROBES_SHARE)) return
    const leastMissed = this.#findLeastMissed(socket)
    if (leastMissed !== null) {
      this.#drop(leastMissed)
      return
    }
    this.#forProbes.add(socket)
    if (this.#open.size > this.#most) this.#drop(socket)
  }

  /** Counts a request. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    const {socket} = request
    const exchange = {request, response, takenBy: null}
    this.#open.get(socket)?.add(exchange)
    response.once('close', () => {
      const exchanges = this.#open.get(socket)
      exchanges?.delete(exchange)
      if (exchanges?.size !== 0) return
      if (this.#isClosing) {
        this.#drop(socket)
      } else {
        this.#open.delete(socket)
        this.#open.set(socket, exchanges)
      }
    })
  }

  /** Whether the connection has one of the places that are left for probes. */
  isForProbes(socket: Socket): boolean {
    return this.#forProbes.has(socket)
  }

  /** Whether a part of an answer has been sent and the rest has not. */
  isInAnswer(socket: Socket): boolean {
    return [...(this.#open.get(socket) ?? [])].some(({response}) => response.headersSent)
  }

  /** Drops each connection on which nothing is asked, now or once it is answered. */
  close(): void {
    this.#isClosing = true
    for (const [socket, exchanges] of this.#open) if (exchanges.size === 0) this.#drop(socket)
  }

  /** Drops them all. */
  dropAll(): void {
    for (const socket of this.#open.keys()) this.#drop(socket)
  }

  #findLeastMissed(newest: Socket): Socket | null {
    let slow: Socket | null = null
    for (const [socket, exchanges] of this.#open) {
      if (socket === newest) continue
      if (exchanges.size === 0) return socket
      if (slow === null && [...exchanges].every(isWaitingForClient)) slow = socket
    }
    return slow
  }

  #drop(socket: Socket): void {
    this.#open.delete(socket)
    // What the system still keeps for it goes, too.
    if (socket.writableLength > 0) socket.resetAndDestroy()
    else socket.destroy()
  }

  /** Drops connections whose clients do not read their answers. */
  #dropUnread(): void {
    if (this.#open.size === 0 && this.#sweep !== null) {
      clearInterval(this.#sweep)
      this.#sweep = null
    }
    const now = performance.now()
    for (const [socket, exchanges] of this.#open) {
      for (const exchange of exchanges) {
        if (!isUnread(exchange, socket)) continue
        const pieces = Math.ceil(socket.writableLength / PIECE_BYTES)
        exchange.takenBy ??= now + this.#pieceMs * Math.max(pieces, 1)
        if (exchange.takenBy < now) this.#drop(socket)
      }
    }
  }
}

/**
 * Whether the answer is complete and not taken; one that waits behind another on its connection has no socket
 * yet.
 */
const isUnread = ({response}: Exchange, socket: Socket): boolean =>
  response.writableEnded && !response.writableFinished && response.socket === socket

/**
 * Whether it is the client that keeps the exchange from going on: by its request, or by not reading the
 * answer.
 */
const isWaitingForClient = ({request, response}: Exchange): boolean =>
  !request.complete || response.writableNeedDrain || (response.writableEnded && !response.writableFinished)

/**
 * At most this many connections, or half of the open files that the process may have, since database sessions
 * need files, too. Outside Linux the limit is unknown, and high.
 */
export function mostConnections(wanted: number): number {
  try {
    const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return limit === undefined ? wanted : Math.min(wanted, Math.ceil(Number(limit) / 2))
  } catch {
    return wanted
  }
}
