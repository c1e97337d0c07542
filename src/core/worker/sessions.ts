import {hostname} from 'node:os'
import type {Database} from '../../db/database.ts'
import {holdLivenessKey, holdsKeyAlone, newLivenessKey} from '../../db/locks/liveness.ts'
import {describeBlocker} from '../../lib/outcomes.ts'

/**
 * As jobs name their worker: `ayb:<key>:<host>:<pid>`, at most 100 characters. Behind a pooler no session could hold the
 * key, and who finds it held by nobody would take the jobs: such a worker's id shows none, and its leases count.
 */
function workerId(keyHex: string, isPooled: boolean): string {
  return `ayb:${isPooled ? 'pooled-' : ''}${keyHex}:${hostname().slice(0, 52)}:${process.pid}`
}

/** A worker whose database comes and goes for hours begins anew each time. */
const MOST_FORMER_KEYS = 100

interface Identity {
  id: string
  keyHex: string
  isPooled: boolean
  /** How many sessions hold the key now. */
  sessions: number
  /** Whether it was told that somebody is after the key. */
  isTold: boolean
}

/**
 * The sessions of one worker. Each holds the worker's key before it is used, so that the worker counts as alive as
 * long as one of them is. When the last one is lost, others may take its jobs: the next session begins a new identity. Not
 * behind a pooler, where they wait for its leases: what it had claimed and never heard of is its own to take back.
 */
export class WorkerSessions {
  readonly #open: (signal?: AbortSignal) => Promise<Database>
  readonly #idle: Database[] = []
  readonly #distrusted: Database[] = []
  #identity: Identity | null = null
  readonly #formerKeys: string[] = []
  #isPooled = false
  #isClosed = false

  readonly #warn: (message: string) => void

  /** `open` connects; the sessions are for refreshes unless said otherwise. */
  constructor(open: (signal?: AbortSignal) => Promise<Database>, warn: (message: string) => void) {
    this.#open = open
    this.#warn = warn
  }

  /** What claims are made under. Changes when all sessions were lost. */
  get workerId(): string {
    return this.#current().id
  }

  /** The key, and those of its former identities, newest last. */
  get keys(): string[] {
    const {keyHex} = this.#current()
    return [...this.#formerKeys, keyHex]
  }

  /**
   * Makes a session one of the worker's. Where somebody else is after its key, the session works without it, and is
   * not kept: the others hold the key, and the lock of the view tells that its job is in hand.
   */
  async adopt(db: Database): Promise<Database> {
    await this.#hold(db)
    return db
  }

  /** The same for the session that claims, which begins another identity where the key of the old one cannot be had. */
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
    // Counted before it holds the key: when the others end meanwhile, the identity must not end with them.
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
      if (!identity.isTold) {
        const by = failure.by ? `: ${describeBlocker(failure.by)}` : ''
        this.#warn(`another session is after the key of this worker, which keeps no sessions meanwhile${by}`)
      }
      identity.isTold = true
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

  /** A session for one refresh: one that is kept, or a new one. The signal ends the attempt to open it. */
  async acquire(signal?: AbortSignal): Promise<Database> {
    for (let kept = this.#idle.pop(); kept; kept = this.#idle.pop()) {
      if (kept.session.isUsable) return kept
    }
    return this.adopt(await this.#open(signal))
  }

  /** Runs what is no refresh on a session of its own. */
  async use<T>(work: (db: Database) => Promise<T>): Promise<T> {
    const db = await this.acquire()
    try {
      return await work(db)
    } finally {
      await this.release(db)
    }
  }

  /** Opens a session ahead of the first refresh, which then starts at once. A failure is the refresh's to meet. */
  async warmUp(signal: AbortSignal): Promise<void> {
    await this.acquire(signal).then(
      (db) => this.#keep(db),
      () => {},
    )
  }

  /** Keeps a session for the next refresh, unless there is to be none. */
  async release(db: Database): Promise<void> {
    if (!db.session.isUsable) return
    const {keyHex} = this.#current()
    // What the queries of views locked for the session would stay locked for as long as it is kept.
    const isClean = this.#isClosed || (await holdsKeyAlone(db.session, keyHex).catch(() => false))
    if (isClean) await this.#keep(db)
    else await db.close()
  }

  async #keep(db: Database): Promise<void> {
    if (this.#isClosed) await db.close()
    else if (db.session.isUsable) this.#idle.push(db)
  }

  /** Keeps the sessions that wait for a refresh from getting one; they hold the key until another one does. */
  distrustIdle(): void {
    this.#distrusted.push(...this.#idle.splice(0))
  }

  /** Drops what is not trusted any more. */
  closeDistrusted(): void {
    for (const db of this.#distrusted.splice(0)) db.session.destroy()
  }

  /** Closes the sessions that are kept, and from now on those that come back. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.closeDistrusted()
    await Promise.all(this.#idle.splice(0).map((db) => db.close()))
  }

  #current(): Identity {
    if (!this.#identity) {
      const keyHex = newLivenessKey()
      const isPooled = this.#isPooled
      this.#identity = {id: workerId(keyHex, isPooled), keyHex, isPooled, sessions: 0, isTold: false}
    }
    return this.#identity
  }
}
