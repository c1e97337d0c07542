import type {Database} from '../../db/database.ts'
import type {Session} from '../../db/session.ts'
import {WaitingLine} from '../../lib/waiting-line.ts'

/** Nearly every look is over by then. After that, the next look gets a session of its own. */
const SLOW_MS = 1000
const SLOW = new Error('the session is busy')

/** The sessions from which a refresh is looked at: one, and more while a look takes long. */
export class LookSessions {
  readonly #db: Database
  readonly #free: Session[] = []
  readonly #line = new WaitingLine()
  /** How many sessions have a look, or are being opened for a look. */
  #inUse = 0
  #isOpening = false

  constructor(db: Database) {
    this.#db = db
  }

  /**
   * The session, once no other look is taken on it, or another session. The signal ends the wait.
   * @throws the error with which no session could be opened
   */
  async acquire(signal: AbortSignal): Promise<Session> {
    for (let isSlow = false; ; isSlow = true) {
      const session = this.#takeFree()
      if (session) return session
      if (this.#inUse === 0 || (isSlow && !this.#isOpening)) return this.#open(signal)
      const freed = await this.#waitForFree(signal)
      if (freed) return freed
    }
  }

  /** Takes a session back, usable or not. */
  async release(session: Session): Promise<void> {
    this.#inUse--
    if (session.isUsable) this.#free.push(session)
    // In session mode the session would keep a connection of the pool from others.
    if (!this.#line.admit() && session.isPooled) await this.close()
  }

  /** Closes the sessions that have no look. */
  async close(): Promise<void> {
    await Promise.all(this.#free.splice(0).map((session) => session.close()))
  }

  #takeFree(): Session | null {
    for (let session = this.#free.pop(); session; session = this.#free.pop()) {
      if (!session.isUsable) continue
      this.#inUse++
      return session
    }
    return null
  }

  /** Null where none became free in time. */
  async #waitForFree(signal: AbortSignal): Promise<Session | null> {
    let session: Session | null = null
    const onTurn = () => {
      session = this.#takeFree()
    }
    await this.#line
      .wait({signal, deadline: {afterMs: SLOW_MS, reason: () => SLOW}, onTurn})
      .catch((error) => {
        if (error !== SLOW) throw error
      })
    return session
  }

  async #open(signal: AbortSignal): Promise<Session> {
    const {server, session: watched} = this.#db
    this.#inUse++
    this.#isOpening = true
    try {
      const session = await server.openSession({signal})
      // Of several hosts, the session may have got another one, where the pid is of a stranger.
      if (session.isBeside(watched) && session.readOnlyReason !== 'recovery') return session
      await session.close()
      throw new Error('the session is on another server')
    } catch (error) {
      this.#inUse--
      // Another attempt would fail the same way, unless this attempt was given up.
      if (signal.aborted) this.#line.admit()
      else this.#line.refuseAll(() => error)
      throw error
    } finally {
      this.#isOpening = false
    }
  }
}
