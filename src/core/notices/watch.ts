import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import type {OpenOptions} from '../../db/session.ts'
import {Alarm} from '../../lib/alarm.ts'
import {isAybError, messageOf} from '../../lib/errors.ts'
import type {Deliver} from '../../lib/notices.ts'
import type {Emit, WorkerEvent} from '../../lib/worker-events.ts'
import {lookForChanges} from './look.ts'
import {Outbox} from './outbox.ts'

/** How often to look at the views when no event tells of a change. */
const INTERVAL_MS = 15_000
/** A worker that was away for a while refreshes what is due, before it tells what is late. */
const FIRST_LOOK_MS = 5000
/** Between two looks at least: the looks of a worker with many refreshes must not add up. */
const SHORTEST_PAUSE_MS = 1000
/** After a look, the pause is so many times as long as the look took: with and without news. */
const [REST_SHARE, IDLE_REST_SHARE] = [4, 20]
/** Another process may be claiming the notice that is due. */
const SHORTEST_WAIT_MS = 100
/** As for all statements of a worker. */
const STATEMENT_DEADLINE_MS = 30_000
/** How long the end waits for notices that are on their way. */
const END_PATIENCE_MS = 10_000

/** How notices are made and sent. */
interface WatchOptions {
  /** Connects. The watch has a session of its own, so that no refresh waits for it. */
  open(how: OpenOptions): Promise<Database>
  deliver: Deliver
  /** After how many failures in a row a view counts as failing. */
  after: number
  emit: Emit
}

/**
 * A watch where notices have somewhere to go, and the listener for a worker of the same process: its events
 * reach `emit` and the watch.
 */
export function watchNotices({
  deliver,
  ...options
}: Omit<WatchOptions, 'deliver'> & {deliver: Deliver | null}): {
  notices: NoticeWatch | null
  onEvent: Emit
} {
  const notices = deliver && new NoticeWatch({...options, deliver})
  return {
    notices,
    onEvent: (event) => {
      options.emit(event)
      notices?.observe(event)
    },
  }
}

/**
 * Watches how fresh the views are, and has a notice sent when that changes. The change is written down by
 * whichever process sees it first; then any process claims the notice, and sends it.
 */
export class NoticeWatch {
  readonly #options: WatchOptions
  readonly #outbox: Outbox
  readonly #alarm = new Alarm()
  readonly #stop = new AbortController()
  /** Ends what is left when the end has waited long enough. */
  readonly #over = new AbortController()
  #db: Database | null = null
  /** What uses the session now. */
  #turn: Promise<unknown> = Promise.resolve()
  #loop: Promise<void> = Promise.resolve()
  #nextLookAt = performance.now() + FIRST_LOOK_MS
  /** Since the last look, an event has told of a change: the next look is at `#restsUntil`. */
  #hasNews = false
  #restsUntil = 0
  #unwell: ReadonlySet<string> = new Set()
  /** The last error; null where the last work went well. */
  #complaint: string | null = null

  constructor(options: WatchOptions) {
    this.#options = options
    this.#outbox = new Outbox({
      use: (work) => this.#use(work),
      deliver: options.deliver,
      emit: options.emit,
      onSent: () => this.#alarm.ring(),
    })
  }

  /** Looks and sends from time to time, until the end. */
  start(): void {
    this.#loop = this.#run(this.#stop.signal)
  }

  /** Looks soon where the event tells that the state of a view may have changed. */
  observe(event: WorkerEvent): void {
    const isWorse = event.type === 'job-failed' || event.type === 'job-retried'
    const isBetter =
      (event.type === 'job-succeeded' || event.type === 'job-unchanged') &&
      event.view !== null &&
      this.#unwell.has(event.view)
    if (!isWorse && !isBetter) return
    this.#hasNews = true
    this.#alarm.ring()
  }

  /**
   * Ends, and waits for notices that are on their way, for 10 s at most. With `looks`, it looks once more,
   * and sends what is due within this time.
   */
  async end({looks}: {looks: boolean}): Promise<void> {
    this.#stop.abort()
    const patience = sleep(END_PATIENCE_MS, undefined, {signal: this.#over.signal}).catch(() => {})
    await Promise.race([this.#finish(looks), patience])
    this.#over.abort()
    this.#db?.session.destroy()
  }

  async #finish(looks: boolean): Promise<void> {
    const endsAt = performance.now() + END_PATIENCE_MS
    await this.#loop
    if (looks) await this.#attempt(() => this.#look())
    while (!this.#over.signal.aborted) {
      const nextInMs = looks ? await this.#attempt(() => this.#outbox.send()) : null
      if (this.#outbox.isSending) await this.#outbox.untilOneEnds()
      else if (nextInMs === null || performance.now() + nextInMs >= endsAt) break
      else await this.#alarm.wait(Math.max(nextInMs, SHORTEST_WAIT_MS), this.#over.signal)
    }
    await this.#db?.close()
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const nextInMs = await this.#attempt(async () => {
        if (this.#untilLookMs <= 0) await this.#look()
        return this.#outbox.send()
      })
      const untilSendMs = Math.max(nextInMs ?? INTERVAL_MS, SHORTEST_WAIT_MS)
      await this.#alarm.wait(Math.max(0, Math.min(this.#untilLookMs, untilSendMs)), signal)
    }
  }

  get #untilLookMs(): number {
    return (this.#hasNews ? this.#restsUntil : this.#nextLookAt) - performance.now()
  }

  async #look(): Promise<void> {
    const {after, emit} = this.#options
    const startedAt = performance.now()
    this.#hasNews = false
    try {
      const {noted, unwell} = await this.#use((db) => lookForChanges(db, {after}))
      this.#unwell = unwell
      for (const change of noted) emit({type: 'notice-made', ...change})
    } finally {
      const now = performance.now()
      const lookMs = now - startedAt
      this.#restsUntil = now + Math.max(SHORTEST_PAUSE_MS, REST_SHARE * lookMs)
      this.#nextLookAt = now + Math.max(INTERVAL_MS, IDLE_REST_SHARE * lookMs)
    }
  }

  /**
   * Null after an error, which is told once while it lasts. The next attempt has a new session. Nobody waits
   * for the loop: an error that left it, of a bug too, would end the process with all its refreshes.
   */
  async #attempt<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      const result = await work()
      this.#complaint = null
      return result
    } catch (error) {
      this.#db?.session.destroy()
      const message = messageOf(error)
      const {hint, remedy} = isAybError(error) ? error : {hint: null, remedy: null}
      if (message !== this.#complaint && !this.#stop.signal.aborted) {
        const warning = {message: `notices wait: ${message}`, lead: null, hint, remedy}
        this.#options.emit({type: 'warning', message: warning})
      }
      this.#complaint = message
      return null
    }
  }

  /**
   * Runs work on the session, one after the other: a statement of one must not land in a transaction of
   * another.
   */
  #use<T>(work: (db: Database) => Promise<T>): Promise<T> {
    const turn = this.#turn.then(async () => work(await this.#session()))
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** The session, whose tables can be trusted; opens one if there is none. */
  async #session(): Promise<Database> {
    const isNew = !this.#db?.session.isUsable
    const {signal} = this.#over
    if (isNew) this.#db = await this.#options.open({signal, deadlineMs: STATEMENT_DEADLINE_MS})
    const db = this.#db as Database
    if (isNew) await db.prepareTables()
    else await db.checkTrust()
    db.requireTable('notices', 'sending notices')
    // Others tell of the same connection.
    db.takeWarnings()
    return db
  }
}
