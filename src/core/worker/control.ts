import type {Database} from '../../db/database.ts'
import {planAnew, planByIndex} from '../../db/queue/plans.ts'
import {WAKE_CHANNEL} from '../../db/queue/wake.ts'
import type {Alarm} from '../../lib/alarm.ts'
import {type AybError, isAybError, messageOf} from '../../lib/errors.ts'
import type {Emit} from '../../lib/worker-events.ts'
import type {WorkerSessions} from './sessions.ts'

const FIRST_PAUSE_MS = 200
/** Between two attempts to connect. */
export const LONGEST_PAUSE_MS = 10_000
/**
 * How long the server may keep plans: a plan from when a table was small is slow once the table has grown.
 */
const PLANS_LAST_MS = 60_000
/** At most so many reasons are remembered, since the words of a server can differ each time. */
const MOST_REASONS = 100
/** Notifications within this time are one wake-up. */
const MERGE_MS = 50

interface ControlOptions {
  sessions: WorkerSessions
  /** Ends the pauses between attempts to connect; rings when the session ends. */
  alarm: Alarm
  emit: Emit
  pollIntervalMs: number
  /** Whether to wait on a server in recovery; otherwise such a server is an error. */
  waitsForPromotion: boolean
  /** Called when another session has changed schedules or jobs, or may have: the session is a new one. */
  onNotify(): void
}

/**
 * The session that schedules, claims and watches. A lost session is opened again, with growing pauses, while
 * the refreshes go on in their own sessions. On a server in recovery, it waits for the promotion unless told
 * not to.
 */
export class ControlSession {
  /** Whether the last statement or attempt to connect reached the database. */
  isUp = false
  /** When the last attempt to connect began, by performance.now(). */
  lastAttemptAt = 0
  readonly #sessions: WorkerSessions
  readonly #alarm: Alarm
  readonly #emit: Emit
  readonly #pollIntervalMs: number
  readonly #waitsForPromotion: boolean
  #db: Database | null = null
  #onNotify: () => void
  #isWaitingForPromotion = false
  #isDistrustful = false
  #plansUntil = 0
  /** The reasons for failed attempts to connect since the last session, each of which was reported. */
  readonly #told = new Set<string>()

  constructor(options: ControlOptions) {
    this.#sessions = options.sessions
    this.#alarm = options.alarm
    this.#emit = options.emit
    this.#pollIntervalMs = options.pollIntervalMs
    this.#waitsForPromotion = options.waitsForPromotion
    this.#onNotify = options.onNotify
  }

  /**
   * The session. Opens one if there is none; null when the signal aborts first.
   * @throws AybError what keeps the very first session from being opened, except a server in recovery
   */
  async get(signal: AbortSignal): Promise<Database | null> {
    if (this.#db?.session.isUsable) return this.#db
    const isFirst = this.#db === null
    if (!isFirst) this.lose('the connection ended')
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      this.lastAttemptAt = performance.now()
      try {
        const db = await this.#connect(signal)
        if (db) return db
        await this.#alarm.wait(this.#pollIntervalMs, signal)
      } catch (error) {
        if (signal.aborted) return null
        if (isFirst && !this.#isWaitingForPromotion) throw error
        if (!isTransient(error) || (error.code === 'READ_ONLY' && !this.#waitsForPromotion)) throw error
        this.#tellOnce(error.message)
        await this.#alarm.wait(pauseMs, signal)
      }
    }
    return null
  }

  /** Reports each reason once until the database is back. */
  #tellOnce(reason: string): void {
    if (this.#told.has(reason)) return
    if (this.#told.size >= MOST_REASONS) this.#told.clear()
    this.#told.add(reason)
    this.#emit({type: 'warning', message: `cannot reconnect: ${reason}`})
  }

  /** The session, without waiting for a new one; null while there is none. */
  get current(): Database | null {
    return this.#db?.session.isUsable ? this.#db : null
  }

  /** Gives up the session after an error, and reports the loss once. */
  lose(reason: unknown): void {
    this.#db?.session.destroy()
    // The same fault may have cut off the kept sessions, and nobody would notice before a refresh uses one.
    this.#sessions.distrustIdle()
    if (!this.isUp) return
    this.isUp = false
    this.#emit({type: 'database-lost', error: messageOf(reason)})
  }

  /** Gives up the session because the tables cannot be trusted, and reports that once. */
  distrust({message, hint, remedy}: AybError): void {
    this.#db?.session.destroy()
    this.isUp = false
    if (this.#isDistrustful) return
    this.#isDistrustful = true
    this.#emit({type: 'tables-untrusted', error: message, advice: {hint, remedy}})
  }

  /** Has the server plan the kept statements again, once a minute. */
  async renewPlans(): Promise<void> {
    const db = this.current
    if (!db?.session.keepsStatements || performance.now() < this.#plansUntil) return
    this.#plansUntil = performance.now() + PLANS_LAST_MS
    await planAnew(db.session)
  }

  async close(): Promise<void> {
    await this.#db?.close()
  }

  /** A prepared session; null while the server is in recovery. */
  async #connect(signal: AbortSignal): Promise<Database | null> {
    const db = await this.#sessions.open(signal)
    try {
      if (db.session.readOnlyReason === 'recovery' && this.#waitsForPromotion) {
        await db.close()
        if (!this.#isWaitingForPromotion) this.#emit({type: 'waiting-for-promotion'})
        this.#isWaitingForPromotion = true
        return null
      }
      await db.prepareTables()
      await this.#sessions.adoptControl(db)
      this.#sessions.closeDistrusted()
      await db.session.commitLocally()
      if (!db.session.isPooled) {
        await planByIndex(db.session)
        this.#plansUntil = performance.now() + PLANS_LAST_MS
        await db.session.listen(WAKE_CHANNEL, () => this.#merge())
      }
    } catch (error) {
      db.session.destroy()
      throw error
    }
    for (const message of db.takeWarnings()) this.#emit({type: 'warning', message})
    db.session.onEnd(() => this.#alarm.ring())
    const {workerId} = this.#sessions
    if (this.#isDistrustful) this.#emit({type: 'tables-trusted', workerId})
    else if (this.#db || this.#isWaitingForPromotion) this.#emit({type: 'database-back', workerId})
    this.#isDistrustful = false
    this.#isWaitingForPromotion = false
    this.#told.clear()
    this.#db = db
    this.isUp = true
    this.#onNotify()
    return db
  }

  #merging: NodeJS.Timeout | null = null

  #merge(): void {
    this.#merging ??= setTimeout(() => {
      this.#merging = null
      this.#onNotify()
    }, this.#mergeDelay())
  }

  #lastNotifyAt = Number.NEGATIVE_INFINITY

  /** The first notification of a burst wakes the worker at once. */
  #mergeDelay(): number {
    const now = performance.now()
    const delayMs = Math.max(0, this.#lastNotifyAt + MERGE_MS - now)
    this.#lastNotifyAt = now + delayMs
    return delayMs
  }
}

/** Whether a later try may succeed: the database is away, takes no writes for now, or a table is locked. */
export function isTransient(error: unknown): error is AybError {
  return (
    isAybError(error, 'CONNECTION_LOST') ||
    isAybError(error, 'CONNECTION_FAILED') ||
    isAybError(error, 'READ_ONLY') ||
    // Somebody locks one of ayb's tables.
    (isAybError(error, 'TIMEOUT') && error.details?.timeout === 'table')
  )
}
