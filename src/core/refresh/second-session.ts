import type {Database} from '../../db/database.ts'
import type {Session} from '../../db/session.ts'
import {dropOnAbort} from '../../lib/abort.ts'
import {timerMs} from '../../lib/timer.ts'
import {LookSessions} from './look-sessions.ts'

/** How often to look at something, in milliseconds. */
export interface Pace {
  firstMs: number
  /** From the end of a look to the next look. */
  intervalMs: number
}

/** Something that another session looks at while a refresh runs. */
export interface Look extends Pace {
  /** Instead of the interval behind a pooler, where each look takes a connection of its own. */
  pooledIntervalMs: number
  /** How long a statement of the look may go unanswered, in milliseconds. */
  deadlineMs: number
  /** Whether to look again after a look that failed. Otherwise such a look was the last. */
  isPersistent: boolean
  /**
   * Looks once. Returns after how many milliseconds to look again; null for the interval. The signal aborts
   * when the look is removed, or the refresh is over.
   */
  take(session: Session, signal: AbortSignal): Promise<number | null>
}

/** Removes a look. A look in progress gets the given milliseconds to end, then it is dropped. */
export type RemoveLook = (patienceMs?: number) => Promise<void>

/**
 * Looks at a refresh from a second session, which is opened when the first look is due. A look that takes
 * long gets the session for itself, and the others another one. What fails here changes nothing for the
 * refresh.
 */
export class SecondSession {
  readonly #db: Database
  /** Null until there is a look: the refreshes of a worker have none. */
  #sessions: LookSessions | null = null
  #looks: RepeatedLook[] = []

  constructor(db: Database) {
    this.#db = db
  }

  add(look: Look): RemoveLook {
    this.#sessions ??= new LookSessions(this.#db)
    const repeated = new RepeatedLook(look, this.#sessions)
    this.#looks.push(repeated)
    return async (patienceMs = 0) => {
      await repeated.stop(patienceMs)
      this.#looks = this.#looks.filter((other) => other !== repeated)
    }
  }

  /** Ends at once, with the looks that are being taken, and closes the sessions. */
  async stop(): Promise<void> {
    if (!this.#sessions) return
    await Promise.all(this.#looks.map((look) => look.stop(0)))
    await this.#sessions.close()
  }
}

/** One look, which is taken again and again. */
class RepeatedLook {
  readonly #look: Look
  readonly #sessions: LookSessions
  readonly #dropped = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  /** While the look is being taken. Never rejects. */
  #taking: Promise<void> | null = null

  constructor(look: Look, sessions: LookSessions) {
    this.#look = look
    this.#sessions = sessions
    this.#setTimer(look.firstMs)
  }

  async stop(patienceMs: number): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    if (!this.#taking) return
    if (patienceMs === 0) this.#dropped.abort()
    const patience = setTimeout(() => this.#dropped.abort(), timerMs(patienceMs))
    await this.#taking
    clearTimeout(patience)
  }

  #setTimer(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#taking = this.#take().finally(() => {
        this.#taking = null
      })
    }, timerMs(ms))
  }

  async #take(): Promise<void> {
    // After a pause of this process, the answer to the refresh may lie here unread.
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#isStopped) return
    const {isPersistent, intervalMs} = this.#look
    const pauseMs = await this.#lookOnce().catch(() => (isPersistent ? intervalMs : null))
    if (pauseMs !== null && !this.#isStopped) this.#setTimer(pauseMs)
  }

  /** Returns after how many milliseconds to look again. */
  async #lookOnce(): Promise<number> {
    const look = this.#look
    const {signal} = this.#dropped
    const session = await this.#sessions.acquire(signal)
    try {
      const pauseMs = await dropOnAbort(session, signal, () =>
        look.take(session.within(look.deadlineMs), signal),
      )
      return pauseMs ?? (session.isPooled ? look.pooledIntervalMs : look.intervalMs)
    } catch (error) {
      session.destroy()
      throw error
    } finally {
      await this.#sessions.release(session)
    }
  }
}
