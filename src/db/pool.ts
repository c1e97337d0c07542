import {dropOnAbort, withDeadline} from '../lib/abort.ts'
import {AybError, isAybError} from '../lib/errors.ts'
import {WaitingLine} from '../lib/waiting-line.ts'
import type {Database} from './database.ts'
import type {OpenOptions, Session} from './session.ts'

/** What a pool keeps: a session, and what there is to do with it between two uses. */
interface Pooled {
  readonly session: Session
  /** Before it is used again: whether it still works, and may still be used. */
  renew(limits: {deadlineMs: number; lockPatienceMs: number}): Promise<void>
  explain(error: unknown): Promise<unknown>
  close(): Promise<void>
}

/** What is done with a session that may use ayb's tables. */
export type DatabaseWork<R> = (db: Database) => Promise<R>

interface PoolOptions {
  /** How many sessions there may be at once. */
  size: number
  /**
   * Whether sessions are kept for the next ones: not where a view's query has run, which may leave things
   * behind.
   */
  isKept: boolean
  /** How long to wait for one while all are busy, in milliseconds. */
  patienceMs: number
  /** What to say then. */
  whenBusy(): AybError
}

/** A session that nobody has needed for so long is closed. */
const IDLE_MS = 60_000
/** How long a probe waits. */
const PROBE_MS = 5000
/**
 * How long a kept session may take to show that it still works. Less than a probe: the probe that finds a
 * dead session has time to drop the other kept sessions, too. Otherwise each probe would drop one.
 */
const RENEW_MS = 4000
/** Less than the deadline of a kept session: a session that waits for a locked table still works. */
const LOCK_PATIENCE_MS = 3000
/** For so long after a success, the database counts as reachable without another probe. */
const FRESH_MS = 1000
/**
 * The statements of a kept session are short. When a statement is not answered by then, the network under it
 * is dead.
 */
const STATEMENT_DEADLINE_MS = 60_000

/** Sessions for many requests, which wait for one another where there are more of them. */
export class DatabasePool<T extends Pooled = Database> {
  readonly #open: (how: OpenOptions) => Promise<T>
  readonly #options: PoolOptions
  readonly #idle: T[] = []
  readonly #busy = new Set<T>()
  readonly #line = new WaitingLine()
  #taken = 0
  #isClosed = false
  #closing: NodeJS.Timeout | null = null
  /** When a session last completed its work, by performance.now(). */
  #lastSuccessAt = Number.NEGATIVE_INFINITY
  #probe: Promise<boolean> | null = null

  /** `open` connects; it is called for each session. */
  constructor(open: (how: OpenOptions) => Promise<T>, options: PoolOptions) {
    this.#open = open
    this.#options = options
  }

  /**
   * Runs work on a session that it has for itself.
   * @throws AybError where no session can be opened, or all stay busy; the signal's reason during the wait;
   * and what the work throws
   */
  async use<R>(work: (db: T) => Promise<R>, signal?: AbortSignal): Promise<R> {
    await this.#turn(signal)
    let db: T | undefined
    try {
      db = await this.#session(signal)
      this.#busy.add(db)
      const result = await work(db)
      this.#lastSuccessAt = performance.now()
      return result
    } catch (error) {
      throw db ? await db.explain(error).catch(() => error) : error
    } finally {
      if (db) {
        this.#busy.delete(db)
        await this.#putAway(db)
      }
      if (!this.#line.admit()) this.#taken--
    }
  }

  /** Whether the database answers, within a few seconds. However many ask, one of them looks. */
  isReachable(): Promise<boolean> {
    const ageMs = performance.now() - this.#lastSuccessAt
    if (ageMs < FRESH_MS) return Promise.resolve(true)
    // All sessions are busy: their own statements show whether the database is away.
    if (this.#taken >= this.#options.size) return Promise.resolve(ageMs < STATEMENT_DEADLINE_MS)
    this.#probe ??= this.#look().finally(() => {
      this.#probe = null
    })
    return this.#probe
  }

  async #look(): Promise<boolean> {
    const noAnswer = () => new AybError('CONNECTION_FAILED', 'no answer')
    try {
      // A kept session looks at the tables before its use, and a new session asks the server who it is.
      await withDeadline(PROBE_MS, noAnswer, undefined, (signal) => this.use(async () => {}, signal))
      return true
    } catch (error) {
      if (isAybError(error)) return false
      throw error
    }
  }

  /** Drops every session, whatever runs on it. */
  dropAll(): void {
    for (const db of [...this.#busy, ...this.#idle.splice(0)]) db.session.destroy()
  }

  /**
   * Closes the idle sessions now, and the busy ones when they come back. Refuses callers that wait for a
   * session.
   */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#line.refuseAll(closed)
    if (this.#closing) clearTimeout(this.#closing)
    await Promise.all(this.#idle.splice(0).map((db) => db.close()))
  }

  /** Waits for a free place. A caller that leaves hands its place to the next one in the line. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (this.#isClosed) throw closed()
    if (this.#taken < this.#options.size) {
      this.#taken++
      return
    }
    const {patienceMs, whenBusy} = this.#options
    await this.#line.wait({signal, deadline: {afterMs: patienceMs, reason: whenBusy}})
  }

  /** A kept session that still works, or a new session. */
  async #session(signal: AbortSignal | undefined): Promise<T> {
    for (let kept = this.#idle.pop(); kept; kept = this.#idle.pop()) {
      const {session} = kept
      const renew = () => kept.renew({deadlineMs: RENEW_MS, lockPatienceMs: LOCK_PATIENCE_MS})
      try {
        await dropOnAbort(session, signal, () => renew())
        return kept
      } catch (error) {
        const explained = await kept.explain(error).catch(() => error)
        session.destroy()
        signal?.throwIfAborted()
        if (!isAybError(error, 'CONNECTION_LOST')) throw explained
        // The fault that ended this session has most likely ended all kept sessions.
        for (const other of this.#idle.splice(0)) other.session.destroy()
      }
    }
    return this.#open({signal, deadlineMs: this.#options.isKept ? STATEMENT_DEADLINE_MS : null})
  }

  async #putAway(db: T): Promise<void> {
    if (!db.session.isUsable) return
    if (this.#isClosed || !this.#options.isKept) return db.close()
    this.#idle.push(db)
    this.#closing ??= setTimeout(() => this.#closeIdle(), IDLE_MS).unref()
  }

  #closeIdle(): void {
    this.#closing = null
    for (const db of this.#idle.splice(0)) void db.close()
  }
}

const closed = (): AybError => new AybError('CANCELED', 'canceled: the HTTP server of ayb was stopped')
