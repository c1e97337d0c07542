import type {Database} from '../../db/database.ts'
import type {Session} from '../../db/session.ts'
import {dropOnAbort} from '../../lib/abort.ts'
import {timerMs} from '../../lib/timer.ts'
import {DueLooks, type Pace} from './due-looks.ts'

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
   * when the refresh is over.
   */
  take(session: Session, signal: AbortSignal): Promise<number | null>
}

/**
 * Looks at a refresh from a second session, which is opened when the first look is due. Looks are taken one
 * after the other. What fails here changes nothing for the refresh.
 */
export class SecondSession {
  readonly #db: Database
  readonly #looks = new DueLooks<Look>()
  readonly #stopped = new AbortController()
  #session: Session | null = null
  #timer: NodeJS.Timeout | undefined
  /** The looks that were due together, while they are taken. */
  #round: Promise<void> | null = null
  /** The look that is being taken. */
  #current: {look: Look; done: Promise<unknown>} | null = null

  constructor(db: Database) {
    this.#db = db
  }

  /** Adds a look. Returns what removes it, and waits for its end where it is being taken. */
  add(look: Look): () => Promise<void> {
    this.#looks.add(look)
    this.#setTimer()
    return async () => {
      this.#looks.remove(look)
      if (this.#current?.look === look) await this.#current.done
    }
  }

  /** Ends at once, with the look that is being taken, and closes the session. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#stopped.abort()
    await this.#round
    await this.#close()
  }

  #setTimer(): void {
    const untilDueMs = this.#looks.untilDueMs
    if (this.#round || this.#stopped.signal.aborted || untilDueMs === null) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#round = this.#takeDue().finally(() => {
        this.#round = null
        this.#setTimer()
      })
    }, timerMs(untilDueMs))
  }

  async #takeDue(): Promise<void> {
    // After a pause of this process, the answer to the refresh may lie here unread.
    await new Promise((resolve) => setImmediate(resolve))
    const due = this.#looks.due
    if (due.length === 0) return
    const session = await this.#open()
    if (!session) {
      for (const look of due) this.#fail(look)
      return
    }
    while (session.isUsable && !this.#stopped.signal.aborted) {
      const [look] = this.#looks.due
      if (!look) break
      await this.#take(look, session)
    }
    // In session mode the session would keep a connection of the pool from others.
    if (session.isPooled) await this.#close()
  }

  /** The session; null where none can be had now. */
  async #open(): Promise<Session | null> {
    if (this.#session?.isUsable) return this.#session
    const {server, session: watched} = this.#db
    try {
      const session = await server.openSession({signal: this.#stopped.signal})
      // Of several hosts, the session may have got another one, where the pid is of a stranger.
      if (session.isBeside(watched) && session.readOnlyReason !== 'recovery') {
        this.#session = session
        return session
      }
      await session.close()
    } catch {}
    return null
  }

  async #take(look: Look, session: Session): Promise<void> {
    const {signal} = this.#stopped
    // A look may have to wait for long behind a pooler: the end of the refresh does not wait for the look.
    const taken = dropOnAbort(session, signal, () =>
      session.within(look.deadlineMs, () => look.take(session, signal)),
    )
    this.#current = {look, done: taken.catch(() => {})}
    try {
      const pauseMs = await taken
      this.#looks.again(look, pauseMs ?? (session.isPooled ? look.pooledIntervalMs : look.intervalMs))
    } catch {
      session.destroy()
      this.#fail(look)
    } finally {
      this.#current = null
    }
  }

  #fail(look: Look): void {
    if (look.isPersistent) this.#looks.again(look)
    else this.#looks.remove(look)
  }

  async #close(): Promise<void> {
    await this.#session?.close()
    this.#session = null
  }
}
