import type pg from 'pg'
import {timerMs} from '../../lib/timer.ts'
import type {Connected, ConnectionTarget} from '../connection/connect.ts'
import {connectionLost, isFatal, isStatementOutdated, NoAnswer, translateError} from '../sqlstate.ts'

const CLOSE_DEADLINE_MS = 2000

/** Watches a statement, calls back when its connection is lost, and returns what stops it. */
export type Watch = (onLost: (waitedMs: number) => void) => () => void

/** How a statement ends that is not answered. */
export interface Patience {
  /**
   * How long a statement may go unanswered before the connection counts as lost, in milliseconds; null: for
   * ever.
   */
  deadlineMs: number | null
  /** For a statement without a deadline. */
  watch: Watch | null
}

/** A connection whose statements have deadlines. Errors come out as AybError. */
export class GuardedConnection {
  readonly target: ConnectionTarget
  readonly client: pg.Client
  readonly #connected: Connected
  /** Whether the server keeps statements of this connection, which a change of a table can make useless. */
  readonly #keepsStatements: boolean
  #isLost = false
  #isClosed = false
  #closing: NodeJS.Timeout | null = null

  constructor(connected: Connected, {keepsStatements}: {keepsStatements: boolean}) {
    this.#connected = connected
    this.#keepsStatements = keepsStatements
    this.target = connected.target
    this.client = connected.client
    this.client.on('end', () => {
      this.#isLost = true
    })
  }

  /** Whether the connection can still be used. */
  get isUsable(): boolean {
    return !this.#isLost && !this.#isClosed
  }

  /** Runs statements of the driver until they end, their deadline is over, or the connection is lost. */
  async guard<T>(run: () => Promise<T>, {deadlineMs, watch}: Patience): Promise<T> {
    if (!this.isUsable) throw connectionLost(this.target)
    let lateMs: number | null = null
    const expire = (waitedMs: number) => {
      lateMs = waitedMs
      this.destroy()
    }
    const deadline =
      deadlineMs === null ? undefined : setTimeout(() => expire(deadlineMs), timerMs(deadlineMs))
    const stopWatch = deadlineMs === null ? watch?.(expire) : undefined
    try {
      return await run()
    } catch (error) {
      if (isFatal(error)) this.#isLost = true
      // Of a connection that was dropped here, the driver knows nothing but its end.
      if (lateMs !== null && isFatal(error)) throw translateError(new NoAnswer(lateMs), this.target)
      // The session is as good as lost: opened anew, it prepares them anew.
      if (this.#keepsStatements && isStatementOutdated(error)) {
        this.destroy()
        throw connectionLost(this.target, error)
      }
      throw translateError(error, this.target)
    } finally {
      clearTimeout(deadline)
      stopWatch?.()
    }
  }

  /** What `send` submits goes out in one piece. */
  together<T>(send: () => T): T {
    const {stream} = this.client.connection
    stream.cork()
    try {
      return send()
    } finally {
      stream.uncork()
    }
  }

  /** Calls `onEnd` once, when the connection is gone for whatever reason. */
  onEnd(onEnd: () => void): void {
    if (this.#isLost) onEnd()
    else this.client.once('end', onEnd)
  }

  /** Ends the connection in good order. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    // A backend that does not answer never hangs up by itself.
    this.#closing = setTimeout(() => this.#connected.destroy(), CLOSE_DEADLINE_MS)
    await this.client.end().catch(() => {})
    clearTimeout(this.#closing)
  }

  /** From now on the process may end while the connection is open, as after `unref` of a socket. */
  unref(): void {
    this.#connected.unref()
    this.#closing?.unref()
  }

  /** Drops the connection at once, whatever runs on it. */
  destroy(): void {
    this.#isClosed = true
    this.#connected.destroy()
  }
}
