import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {isAybError} from '../../lib/errors.ts'
import type {Warning} from '../../lib/unworded.ts'

/** For statements that clean a session up: one that is not answered by then has a dead network under it. */
const CLEAN_UP_DEADLINE_MS = 15_000
/** A server that restarts is away for seconds. */
const AWAY_PATIENCE_MS = 30_000
const AWAY_PAUSE_MS = 500

/** The server gives no more sessions at the moment, while others of the set still work. */
export class NoSessionLeft extends Error {}

/**
 * The sessions of a set: one for each refresh that runs, opened when there is none, and kept for the next
 * refresh.
 */
export class SetSessions {
  readonly #main: Database
  readonly #signal: AbortSignal
  readonly #onWarning: (warning: Warning) => void
  readonly #idle: Database[]
  #inUse = 0
  /** Each takes a session that is released, for a refresh that waits for one to be opened. */
  readonly #waiting = new Set<(db: Database) => void>()
  /** Since no session could be opened, as performance.now() tells it; null while sessions can be opened. */
  #awaySince: number | null = null

  /** `main` becomes one of the sessions, and stays open at the end. */
  constructor(main: Database, signal: AbortSignal, onWarning: (warning: Warning) => void) {
    this.#main = main
    this.#signal = signal
    this.#onWarning = onWarning
    this.#idle = [main]
  }

  /**
   * A session for one refresh.
   * @throws NoSessionLeft where a session that is in use will be free later
   * @throws AybError CONNECTION_FAILED where the server stays away, and the reason of the signal
   */
  async acquire(): Promise<Database> {
    for (;;) {
      const kept = this.#takeIdle()
      if (kept) return kept
      try {
        return await this.#openOrTake()
      } catch (error) {
        this.#signal.throwIfAborted()
        if (!mayPass(error)) throw error
        if (this.#inUse > 0) throw new NoSessionLeft(error.message, {cause: error})
        this.#awaySince ??= performance.now()
        if (performance.now() - this.#awaySince > AWAY_PATIENCE_MS) throw error
        await this.#pause()
      }
    }
  }

  #takeIdle(): Database | null {
    for (let db = this.#idle.pop(); db; db = this.#idle.pop()) {
      if (!db.session.isUsable) continue
      this.#inUse++
      return db
    }
    return null
  }

  /** Opens a session, or takes one that is released before: a pooler may keep the former waiting. */
  async #openOrTake(): Promise<Database> {
    const opening = new AbortController()
    const taken: Database[] = []
    const take = (db: Database) => {
      taken.push(db)
      opening.abort()
    }
    this.#waiting.add(take)
    try {
      const opened = await this.#open(AbortSignal.any([this.#signal, opening.signal]))
      if (!taken[0]) return opened
      this.#keep(opened)
    } catch (error) {
      if (!taken[0]) throw error
    } finally {
      this.#waiting.delete(take)
    }
    return taken[0]
  }

  async #open(signal: AbortSignal): Promise<Database> {
    const db = await this.#main.server.open({signal})
    this.#inUse++
    this.#awaySince = null
    for (const warning of db.takeWarnings()) this.#onWarning(warning)
    return db
  }

  async #pause(): Promise<void> {
    await sleep(AWAY_PAUSE_MS, undefined, {signal: this.#signal}).catch(() => this.#signal.throwIfAborted())
  }

  /**
   * Keeps a session for the next refresh, as if it had just been opened: the query of a view can leave locks
   * and settings.
   */
  async release(db: Database): Promise<void> {
    const {session} = db
    // Behind a pooler nothing of a session lasts, and a reset would reach another server connection.
    if (!session.isPooled) await session.within(CLEAN_UP_DEADLINE_MS, () => session.reset())
    const [take] = this.#waiting
    if (!take || !session.isUsable) return this.#keep(db)
    this.#waiting.delete(take)
    take(db)
  }

  #keep(db: Database): void {
    this.#inUse--
    if (db.session.isUsable) this.#idle.push(db)
  }

  /** Closes the sessions that the set has opened. All of them must have been released. */
  async close(): Promise<void> {
    const opened = this.#idle.filter((db) => db !== this.#main)
    await Promise.all(opened.map((db) => db.close()))
  }
}

/** Whether the error tells of a server or a pooler that has no room or no answer at the moment. */
export const mayPass = (error: unknown): error is Error =>
  isAybError(error, 'CONNECTION_FAILED') ||
  isAybError(error, 'CONNECTION_LOST') ||
  isAybError(error, 'SERVER_RESOURCES') ||
  isAybError(error, 'TRY_AGAIN')
