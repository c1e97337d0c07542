import {REFRESHED_CHANNEL} from '../db/announcements.ts'
import type {Server} from '../db/database.ts'
import type {DatabasePool} from '../db/pool.ts'
import {type LastSuccess, lastSuccesses} from '../db/runs.ts'
import type {Session} from '../db/session.ts'
import {dropOnAbort} from '../lib/abort.ts'
import {Alarm} from '../lib/alarm.ts'
import {AybError, isAybError} from '../lib/errors.ts'
import {qualifiedName} from '../lib/identifier.ts'
import type {Instant, ViewName} from '../lib/records/values.ts'

/** How often to look although nobody has told of a refresh. */
const LISTENING_MS = 15_000
/** The same where notifications cannot arrive: behind a pooler, on a standby, without a session for them. */
const DEAF_MS = 2000
/** Between two looks. */
const PAUSE_MS = 100
/** The pause before another attempt to open the session for notifications. */
const RECONNECT_MS = 15_000

/** A refresh of a view that has succeeded. */
interface ViewRefreshed {
  runId: string
  refreshedAt: Instant
  durationMs: number
}

/** Somebody who wants to know when a view was refreshed. */
interface Listener {
  view: ViewName
  /** Called once, before `tell`: from now on each refresh is told. */
  onListening(): void
  tell(refreshed: ViewRefreshed): void
  /** Called when the feed ends. */
  onClose(): void
}

interface Listening extends Listener {
  name: string
  /** The last refresh that the listener knows; null for none. */
  knownRunId: string | null
  /** When that was read, by performance.now(): an older look does not know more. */
  readAt: number
}

interface FeedOptions {
  /** Sessions for short reads. */
  pool: DatabasePool
  /** Opens the session for notifications. */
  open: Server['openSession']
  onError(error: unknown): void
}

/**
 * Tells listeners when their views were refreshed, whoever refreshed them. The history is the only source: a
 * notification says that there may be something new. Refreshes of a view within a tenth of a second may be
 * told as one. Uses the database only while somebody listens.
 */
export class RefreshFeed {
  readonly #options: FeedOptions
  readonly #listeners = new Set<Listening>()
  readonly #alarm = new Alarm()
  readonly #stop = new AbortController()
  /** For notifications; null while there is none. */
  #session: Session | null = null
  #isOpening = false
  #openAgainAt = 0
  #running: Promise<void> | null = null

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /**
   * Listens to a view from now on; with `lastRunId`, from that run on: the last refresh since then is told at
   * once. Returns a function that ends that.
   * @throws AybError CANCELED where the feed has ended, and what keeps the history from being read
   */
  async listen(listener: Listener, lastRunId: string | null, signal: AbortSignal): Promise<() => void> {
    const name = qualifiedName(listener.view)
    const read = await this.#options.pool.use((db) => lastSuccesses(db, [listener.view]), signal)
    this.#stop.signal.throwIfAborted()
    const last = read.get(name) ?? null
    const listening = {...listener, name, knownRunId: last?.runId ?? null, readAt: performance.now()}
    this.#listeners.add(listening)
    listener.onListening()
    this.#running ??= this.#run()
    // For what has changed since the read, and was looked at in between.
    this.#alarm.ring()
    if (last && lastRunId !== null && last.runId !== lastRunId) listener.tell(toRefreshed(last))
    return () => {
      this.#listeners.delete(listening)
      if (this.#listeners.size === 0) this.#alarm.ring()
    }
  }

  /** Ends the feed for all listeners. Waits for no answer of the database. */
  async close(): Promise<void> {
    this.#stop.abort(new AybError('CANCELED', 'canceled: the HTTP server of ayb was stopped'))
    for (const {onClose} of this.#listeners) onClose()
    await this.#running
  }

  async #run(): Promise<void> {
    const {signal} = this.#stop
    while (this.#listeners.size > 0 && !signal.aborted) {
      void this.#keepSession()
      await this.#alarm.wait(this.#session ? LISTENING_MS : DEAF_MS, signal)
      if (signal.aborted) break
      await this.#look().catch((error) => {
        // While the database is away, each request says so.
        if (!isAybError(error)) this.#options.onError(error)
      })
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
    this.#running = null
    const session = this.#session
    if (!session) return
    this.#session = null
    this.#openAgainAt = 0
    if (signal.aborted) session.destroy()
    else await session.close()
  }

  async #look(): Promise<void> {
    const beganAt = performance.now()
    const views = new Map([...this.#listeners].map(({name, view}) => [name, view]))
    const {signal} = this.#stop
    const found = await this.#options.pool.use(
      (db) => dropOnAbort(db.session, signal, () => lastSuccesses(db, [...views.values()])),
      signal,
    )
    for (const listening of this.#listeners) {
      const last = found.get(listening.name)
      if (!last || listening.knownRunId === last.runId || listening.readAt > beganAt) continue
      listening.knownRunId = last.runId
      listening.readAt = beganAt
      listening.tell(toRefreshed(last))
    }
  }

  /** Opens the session for notifications, unless there is one, or the last attempt was a moment ago. */
  async #keepSession(): Promise<void> {
    if (this.#session || this.#isOpening || performance.now() < this.#openAgainAt) return
    this.#isOpening = true
    this.#openAgainAt = performance.now() + RECONNECT_MS
    try {
      const {signal} = this.#stop
      const session = await this.#options.open({signal, deadlineMs: RECONNECT_MS})
      if (session.isPooled) this.#openAgainAt = Number.POSITIVE_INFINITY
      const isDeaf = session.isPooled || session.readOnlyReason === 'recovery'
      const listen = () => session.listen(REFRESHED_CHANNEL, () => this.#alarm.ring())
      if (!isDeaf) await dropOnAbort(session, signal, listen)
      if (isDeaf || this.#running === null) {
        if (!isDeaf) this.#openAgainAt = 0
        void session.close()
        return
      }
      this.#session = session
      session.onEnd(() => {
        if (this.#session === session) this.#session = null
        this.#alarm.ring()
      })
      // For what was told before.
      this.#alarm.ring()
    } catch (error) {
      if (!isAybError(error)) this.#options.onError(error)
    } finally {
      this.#isOpening = false
    }
  }
}

const toRefreshed = ({runId, endedAtMs, durationMs}: LastSuccess): ViewRefreshed => ({
  runId,
  refreshedAt: new Date(Math.floor(endedAtMs)).toISOString(),
  durationMs,
})
