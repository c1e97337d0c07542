import {setTimeout as sleep} from 'node:timers/promises'
import {announceRefresh} from '../../db/announcements.ts'
import type {Database} from '../../db/database.ts'
import {askIdentityAhead} from '../../db/refresh/ask-ahead.ts'
import {onAbort} from '../../lib/abort.ts'
import {isAybError} from '../../lib/errors.ts'
import type {Warning} from '../../lib/unworded.ts'

/** For statements that clean a session up: one that is not answered by then has a dead network under it. */
const CLEAN_UP_DEADLINE_MS = 15_000
/** A server that restarts is away for seconds. */
const AWAY_PATIENCE_MS = 30_000
const AWAY_PAUSE_MS = 500

/** The server gives no more sessions at the moment, while others of the set still work. */
export class NoSessionLeft extends Error {}

/** Somebody who waits for a session. */
interface Waiting {
  resolve(db: Database): void
  reject(error: unknown): void
}

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
  /** First come, first served: a session that is released or opened goes to the first. */
  readonly #waiting: Waiting[] = []
  /** Each ends the opening of a session. */
  readonly #openings = new Map<AbortController, Promise<void>>()
  /** Sessions that were used before: one that died meanwhile may not show that yet. */
  readonly #kept = new WeakSet<Database>()
  /** What was sent behind refreshes, and is not answered yet. */
  readonly #releases = new Set<Promise<void>>()
  /** The wanted number of sessions, including sessions that nobody waits for yet. */
  #wanted = 0
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
        return await this.#next()
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

  /**
   * Opens a session. Takes a released session instead if that comes first: a pooler may delay new sessions.
   */
  #next(): Promise<Database> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({resolve, reject})
      this.#openForThoseWhoWait()
    })
  }

  /**
   * Opens sessions before somebody waits for them, so that there are so many in all. Where they cannot be
   * opened, nobody hears of it.
   */
  openAhead(count: number): void {
    this.#wanted = count
    // A pooler may have its connections for other things.
    if (this.#main.session.isPooled) return
    while (this.#count < count) this.#open()
  }

  #openForThoseWhoWait(): void {
    if (this.#openings.size < this.#waiting.length) this.#open()
  }

  /** How many sessions there are, or will be. */
  get #count(): number {
    return this.#inUse + this.#idle.length + this.#openings.size
  }

  #open(): void {
    const opening = new AbortController()
    // Not AbortSignal.any, whose signal would live as long as that of a server.
    const stopListening = onAbort(this.#signal, () => opening.abort(this.#signal.reason))
    const opened = this.#main.server
      .open({signal: opening.signal})
      .finally(stopListening)
      .then(
        (db) => {
          if (!this.#openings.delete(opening)) return db.close()
          this.#awaySince = null
          for (const warning of db.takeWarnings()) this.#onWarning(warning)
          askIdentityAhead(db)
          this.#offer(db)
        },
        (error) => {
          // What was called off fails, too.
          if (this.#openings.delete(opening)) this.#waiting.shift()?.reject(error)
        },
      )
    this.#openings.set(opening, opened)
  }

  /** Gives a session to whoever waits for one, or keeps it. */
  #offer(db: Database): void {
    if (!db.session.isUsable) {
      this.#openForThoseWhoWait()
      return
    }
    const next = this.#waiting.shift()
    if (!next) {
      this.#idle.push(db)
      return
    }
    this.#inUse++
    next.resolve(db)
    this.#callOff()
  }

  /** Ends the opening of sessions that nobody waits for any more. */
  #callOff(): void {
    for (const [opening] of this.#openings) {
      if (this.#openings.size <= this.#waiting.length || this.#count <= this.#wanted) return
      this.#openings.delete(opening)
      opening.abort()
    }
  }

  async #pause(): Promise<void> {
    await sleep(AWAY_PAUSE_MS, undefined, {signal: this.#signal}).catch(() => this.#signal.throwIfAborted())
  }

  /** Whether an earlier refresh has used the session. */
  isKept(db: Database): boolean {
    return this.#kept.has(db)
  }

  /**
   * Keeps a session for the next refresh, as if it had just been opened: the query of a view can leave locks
   * and settings. The next refresh does not wait for the answers, since its statements are sent behind those
   * that make the session ready. Where these fail, the session is dropped.
   */
  release(db: Database, {isRefreshed}: {isRefreshed: boolean}): void {
    const release = this.#makeReady(db, isRefreshed).then(() => {
      this.#releases.delete(release)
    })
    this.#releases.add(release)
    this.#kept.add(db)
    this.#inUse--
    this.#offer(db)
  }

  async #makeReady({session}: Database, isRefreshed: boolean): Promise<void> {
    const limited = session.within(CLEAN_UP_DEADLINE_MS)
    await session.together(() =>
      Promise.all([
        isRefreshed ? announceRefresh(limited) : null,
        // Behind a pooler nothing of a session lasts, and a reset would reach another server connection.
        session.isPooled ? null : limited.tidy(),
      ]),
    )
  }

  /** Closes the sessions that the set has opened. All of them must have been released. */
  async close(): Promise<void> {
    await Promise.all(this.#releases)
    const openings = [...this.#openings]
    for (const [opening] of openings) opening.abort()
    await Promise.all(openings.map(([, opened]) => opened))
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
