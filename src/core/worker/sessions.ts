import {hostname} from 'node:os'
import type {Database} from '../../db/database.ts'
import {holdLivenessKey, holdsKeyAlone, newLivenessKey} from '../../db/locks/liveness.ts'
import type {OpenOptions} from '../../db/session.ts'
import {describeBlocker} from '../../lib/blockers.ts'
import {LostBackends} from './lost-backends.ts'

/** Opens a session that nobody has prepared yet; the signal ends the attempt. */
export type OpenDatabase = (how: OpenOptions) => Promise<Database>

/**
 * The statements of a worker are short, except refreshes. When a statement is not answered by then, the
 * network under it is dead.
 */
const STATEMENT_DEADLINE_MS = 30_000

/**
 * The id of a worker in its jobs: `ayb:<key>:<host>:<pid>`, at most 100 characters. Behind a pooler no
 * session can hold the key, and other workers would take the jobs of a key that nobody holds: the id then
 * marks its key as a name only, and the leases count.
 */
function workerId(keyHex: string, {isPooled}: {isPooled: boolean}): string {
  return `ayb:${isPooled ? 'pooled-' : ''}${keyHex}:${hostname().slice(0, 52)}:${process.pid}`
}

/** A worker whose database comes and goes for hours takes a new key each time. */
const MOST_FORMER_KEYS = 100

interface Identity {
  id: string
  keyHex: string
  isPooled: boolean
  /** How many sessions hold the key now. */
  sessions: number
  /** Whether the worker has warned that another session is after the key. */
  hasWarned: boolean
}

/**
 * The sessions of one worker. Each session takes the worker's key before it is used, so that the worker
 * counts as alive while one session lives. When the last session is lost, other workers may take the jobs, so
 * that the next session begins a new identity. Behind a pooler the identity stays: other workers wait for the
 * leases, and this worker itself rescues a job whose claim was never answered.
 */
export class WorkerSessions {
  readonly #open: OpenDatabase
  readonly #lost = new LostBackends()
  readonly #idle: Database[] = []
  readonly #distrusted: Database[] = []
  #identity: Identity | null = null
  readonly #formerKeys: string[] = []
  #isPooled = false
  #isClosed = false

  readonly #warn: (message: string) => void

  constructor(open: OpenDatabase, warn: (message: string) => void) {
    this.#open = open
    this.#warn = warn
  }

  /** The id for claims. Changes when all sessions were lost. */
  get workerId(): string {
    return this.#current().id
  }

  /** The keys of the worker's former identities, and its key now, newest last. */
  get keys(): string[] {
    const {keyHex} = this.#current()
    return [...this.#formerKeys, keyHex]
  }

  /**
   * Opens a session that does not hold the key yet, and has it end the backends of lost sessions. The signal
   * ends the attempt.
   */
  async open(signal?: AbortSignal): Promise<Database> {
    const db = await this.#open({signal, deadlineMs: STATEMENT_DEADLINE_MS})
    await this.#lost.adopt(db.session)
    return db
  }

  /**
   * Makes a session one of the worker's. While another session is after the key, this session works without
   * the key, and is closed after its refresh: the worker's other sessions hold the key, and the lock of the
   * view shows that the job is in hand.
   */
  async adopt(db: Database): Promise<Database> {
    await this.#hold(db)
    return db
  }

  /** The same for the control session, which begins a new identity when it cannot have the key. */
  async adoptControl(db: Database): Promise<void> {
    if (await this.#hold(db)) return
    this.#endIdentity()
    await this.#hold(db)
  }

  /** Returns whether the session holds the key. */
  async #hold(db: Database): Promise<boolean> {
    const {session} = db
    this.#isPooled = session.isPooled
    const identity = this.#current()
    // Counted before the session holds the key: the identity must not end if the other sessions end
    // meanwhile.
    identity.sessions++
    let isCounted = true
    const forget = () => {
      if (isCounted) this.#forget(identity)
      isCounted = false
    }
    session.onEnd(forget)
    try {
      const failure = session.isPooled ? null : await holdLivenessKey(session, identity.keyHex)
      if (!failure) return true
      forget()
      if (!identity.hasWarned) {
        const by = failure.by ? `: ${describeBlocker(failure.by)}` : ''
        this.#warn(
          `another session waits for the key of this worker, so the worker keeps no idle sessions until that ends${by}`,
        )
      }
      identity.hasWarned = true
      return false
    } catch (error) {
      session.destroy()
      throw error
    }
  }

  #forget(identity: Identity): void {
    identity.sessions--
    const isOver = identity.sessions === 0 && !identity.isPooled
    if (isOver && this.#identity === identity) this.#endIdentity()
  }

  #endIdentity(): void {
    if (this.#identity) this.#formerKeys.push(this.#identity.keyHex)
    if (this.#formerKeys.length > MOST_FORMER_KEYS) this.#formerKeys.shift()
    this.#identity = null
  }

  /**
   * A session for one refresh: a kept session or a new one. The signal ends the attempt to open a session.
   */
  async acquire(signal?: AbortSignal): Promise<Database> {
    for (let kept = this.#idle.pop(); kept; kept = this.#idle.pop()) {
      if (kept.session.isUsable) return kept
    }
    const db = await this.adopt(await this.open(signal))
    // The control session has told of the same connection.
    db.takeWarnings()
    return db
  }

  /** Runs other work than a refresh on a session of its own. */
  async use<T>(work: (db: Database) => Promise<T>): Promise<T> {
    const db = await this.acquire()
    try {
      return await work(db)
    } finally {
      await this.release(db)
    }
  }

  /** Opens a session before the first refresh needs one. A failure is left to the refresh to report. */
  async warmUp(signal: AbortSignal): Promise<void> {
    await this.acquire(signal).then(
      (db) => this.#keep(db),
      () => {},
    )
  }

  /** Keeps a session for the next refresh, or closes the session when the worker ends. */
  async release(db: Database): Promise<void> {
    if (!db.session.isUsable) return
    const {keyHex} = this.#current()
    // The query of a view can take an advisory lock that lasts as long as the session.
    const isClean = this.#isClosed || (await holdsKeyAlone(db.session, keyHex).catch(() => false))
    if (isClean) await this.#keep(db)
    else await db.close()
  }

  async #keep(db: Database): Promise<void> {
    if (this.#isClosed) await db.close()
    else if (db.session.isUsable) this.#idle.push(db)
  }

  /**
   * Sets the kept sessions aside: no refresh gets one of them. They hold the key until a new session does.
   */
  distrustIdle(): void {
    this.#distrusted.push(...this.#idle.splice(0))
  }

  /** Drops the sessions that were set aside. */
  closeDistrusted(): void {
    for (const db of this.#distrusted.splice(0)) db.session.destroy()
  }

  /** Closes the kept sessions, and from now on each session that is released. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.closeDistrusted()
    await Promise.all(this.#idle.splice(0).map((db) => db.close()))
  }

  #current(): Identity {
    if (!this.#identity) {
      const keyHex = newLivenessKey()
      const isPooled = this.#isPooled
      this.#identity = {id: workerId(keyHex, {isPooled}), keyHex, isPooled, sessions: 0, hasWarned: false}
    }
    return this.#identity
  }
}
