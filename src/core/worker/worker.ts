/*
 * A TURN of the worker's loop (turns.ts), and the ways in which a turn can end (rhythm.ts):
 *
 *      ┌─── sleep until the pause is over, a slot becomes free, NOTIFY arrives, or the session ends ◄───┐
 *      ▼                                                                                                │
 *   only a slot has become free? ──yes───────────────────────────────────────► idle  until the poll ────┤
 *      │ no                                                                                             │
 *      ▼                                                                                                │
 *   a backlog, and no poll due? ──yes──► claim ──► every slot has a job ──► backlog    until the poll ──┤
 *      │ no                                │                                           (5 s at most)    │
 *      │                                   │ a slot stayed free                                         │
 *      ▼                                   ▼                                                            │
 *   poll: one statement that rescues the jobs of dead workers and finds what is due                     │
 *      ▼                                                                                                │
 *   end frozen workers → make jobs of due schedules → claim → start → keep house                        │
 *      │                                                                                                │
 *      ├─ another worker holds due work ──────────────────────────────────► contended  50 ms to 1 s ────┤
 *      ├─ the poll is out of date: sessions of a frozen worker ended ─────► again      at once ─────────┤
 *      ├─ otherwise ──────────────────────────────────────────────────────► idle       until something ─┤
 *      │                                                                               is due, or the   │
 *      │                                                                               poll interval    │
 *      ├─ an error that only a person can mend ───────────────────────────► failed     5 s ─────────────┘
 *      └─ with --once, nothing is due and nothing is in hand ─────────────► done       the loop ends
 *
 * When the database is lost, a turn ends `again`, and the control session connects with growing pauses.
 *
 * A JOB's life. The boxes are the words in `state`:
 *
 *   a schedule is due,                                                     REFRESH and its record,
 *   `schedules run`                                                        in one transaction
 *        │        ┌────────┐ ──────────── claim ───────────► ┌─────────┐ ─────────────────► ┌───────────┐
 *        └──────► │ queued │                                 │ running │                    │ completed │
 *                 └────────┘ ◄────────────────────────────── └─────────┘                    └───────────┘
 *                  │      ▲  retry after an error that may pass   │  │
 *          `jobs   │      │  snooze while the view is locked      │  │ an error that stays,
 *          cancel` │      │  return when no session can be had,   │  │ or no attempt is left;
 *                  │      │         or the worker stops           │  │ retry or rescue *
 *                  │      │  rescue after the worker died         │  ▼
 *                  │      │                                       │ ┌────────┐
 *                  │      └───────────── `jobs retry` ────────────┼─│ failed │
 *                  ▼                                              │ └────────┘
 *             ┌──────────┐                                        │
 *             │ canceled │ ◄─ `jobs cancel`, snooze or return * ──┘
 *             └──────────┘
 *
 *   * when the schedule was disabled or deleted since the claim
 *
 * A job whose view is unchanged is completed without a REFRESH, perhaps after a second look, for which the job
 * goes back into the queue. A job that is claimed in a quiet time of its schedule goes back as well.
 *
 * A running job has a slot of this process (slots.ts), where the runner (runner.ts) refreshes its view. The
 * heartbeat (heartbeat.ts) renews leases and finds dead connections. With a backlog, the message that ends a
 * job claims the next job for the slot, so that a long queue drains without a turn for each job.
 */
import {setMaxListeners} from 'node:events'
import type {Session} from '../../db/session.ts'
import {Alarm} from '../../lib/alarm.ts'
import {AybError, isAybError, messageOf} from '../../lib/errors.ts'
import type {Measurements} from '../../lib/measurements.ts'
import type {RemainingJob, WorkerResult} from '../../lib/records/workers.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {Measure} from '../measure.ts'
import {wantedSettings} from '../refresh/request.ts'
import {Announcer} from './announcer.ts'
import {ControlSession, isTransient, LONGEST_PAUSE_MS as LONGEST_RECONNECT_PAUSE_MS} from './control.ts'
import {watchTrust} from './distrust.ts'
import {FrozenWorkers} from './frozen.ts'
import {startHeartbeat} from './heartbeat.ts'
import {LockHolders} from './lock-holders.ts'
import {LockPatience} from './lock-patience.ts'
import {LockSampler} from './lock-sampler.ts'
import {LowerBounds} from './lower-bounds.ts'
import {Once} from './once.ts'
import {Presence} from './presence.ts'
import {reconnect} from './reconnect.ts'
import {Retention} from './retention.ts'
import {type LeftByJob, Rhythm, type TurnEnd} from './rhythm.ts'
import {Scheduler} from './scheduler.ts'
import {type OpenDatabase, WorkerSessions} from './sessions.ts'
import {Shutdown} from './shutdown.ts'
import {Slots} from './slots.ts'
import {Tally} from './tally.ts'
import {TurnFailures} from './turn-failures.ts'
import {Turns} from './turns.ts'
import {WarningThrottle} from './warning-throttle.ts'

/** How a worker works. Durations in milliseconds. */
export interface WorkerOptions {
  concurrency: number
  pollIntervalMs: number
  leaseMs: number
  refreshTimeoutMs: number | null
  lockTimeoutMs: number | null
  lockRetryForMs: number | null
  shutdownTimeoutMs: number
  /** How long finished jobs are kept; 0 keeps all. */
  retentionMs: number
  /** Whether to run what is due, then end. */
  isOnce: boolean
  /** The version of ayb, which other programs can read. */
  version: string
}

/** A loop that is a minute overdue hangs: each of its statements has a deadline of 30 s. */
const HANGS_AFTER_MS = 60_000

/** Turns due schedules into jobs, and jobs into refreshes, until it is told to stop. */
export class Worker {
  readonly #options: WorkerOptions
  readonly #emit: Emit
  readonly #alarm = new Alarm()
  readonly #rhythm: Rhythm
  readonly #bounds: LowerBounds
  readonly #turns: Turns
  readonly #sessions: WorkerSessions
  readonly #control: ControlSession
  readonly #retention: Retention
  /** Null for a worker that ends soon. */
  readonly #presence: Presence | null
  readonly #measure: Measure
  readonly #announcer = new Announcer(() => this.#control.current)
  readonly #tally = new Tally()
  readonly #failures: TurnFailures
  /** Null for a worker that runs until it is stopped. */
  readonly #once: Once | null
  /** Cancels the refreshes in hand, once the shutdown timeout is over. */
  readonly #cutOff = new AbortController()
  /** Ends the wait for a database that does not come back. */
  readonly #giveUp = new AbortController()
  #slots: Slots | null = null
  #lastTurnAt = performance.now()

  /** `open` connects, once for each session. `tell` receives everything that the worker reports. */
  constructor(options: WorkerOptions, open: OpenDatabase, tell: Emit) {
    this.#options = options
    const {leaseMs, pollIntervalMs, isOnce} = options
    const once = isOnce ? new Once() : null
    this.#once = once
    const emit: Emit = (event) => {
      once?.observe(event)
      this.#tally.observe(event)
      if (event.type === 'job-succeeded') this.#announcer.note()
      tell(event)
    }
    this.#emit = emit
    // Each refresh in hand adds a listener.
    setMaxListeners(0, this.#cutOff.signal, this.#giveUp.signal)
    this.#sessions = new WorkerSessions(open, (message) => emit({type: 'warning', message}))
    this.#control = new ControlSession({
      sessions: this.#sessions,
      alarm: this.#alarm,
      emit,
      pollIntervalMs,
      waitsForPromotion: !isOnce,
      onNotify: () => this.#wake(),
    })
    this.#measure = new Measure((read) => this.#sessions.use(read))
    this.#retention = new Retention(options.retentionMs, this.#control, emit, (error) =>
      this.#failures.warnOf(error),
    )
    const {concurrency: slots, version} = options
    const id = () => this.#sessions.workerId
    this.#presence = isOnce ? null : new Presence({version, slots, pollIntervalMs, id})
    this.#rhythm = new Rhythm({pollIntervalMs})
    // A worker that ends when nothing is left must not miss a row.
    this.#bounds = new LowerBounds({isAlwaysFull: isOnce})
    const throttle = new WarningThrottle()
    this.#failures = new TurnFailures({
      rhythm: this.#rhythm,
      bounds: this.#bounds,
      control: this.#control,
      throttle,
      isOnce,
      emit,
      onDistrust: (error) => this.#distrust(error),
    })
    this.#turns = new Turns({
      leaseMs,
      rhythm: this.#rhythm,
      bounds: this.#bounds,
      sessions: this.#sessions,
      control: this.#control,
      scheduler: new Scheduler(emit),
      frozen: new FrozenWorkers(emit),
      retention: this.#retention,
      presence: this.#presence,
      throttle,
      once,
      emit,
      onNews: () => this.#wake(),
      onProgress: () => this.#noteProgress(),
    })
  }

  /** Whether the last statement or attempt to connect reached the database. */
  get isDatabaseUp(): boolean {
    return this.#control.isUp
  }

  /** Liveness for /healthz: false when the loop is more than a minute overdue. */
  get isTurning(): boolean {
    const age = performance.now() - Math.max(this.#lastTurnAt, this.#control.lastAttemptAt)
    return age < Math.max(this.#options.pollIntervalMs, LONGEST_RECONNECT_PAUSE_MS) + HANGS_AFTER_MS
  }

  /** What the database tells, read at most every 15 s; null while the database is away. */
  async measure(): Promise<Measurements | null> {
    return this.#control.isUp ? this.#measure.read() : null
  }

  /**
   * Works until the signal aborts, or with `isOnce` until everything is done that was due at the start. The
   * refreshes in hand may then finish for the shutdown timeout. After that they are canceled, and their jobs
   * queued again.
   * @throws AybError what keeps the first session from being opened
   */
  async run(signal: AbortSignal): Promise<WorkerResult> {
    const first = await this.#control.get(signal)
    if (!first) return this.#result([])
    const slots = this.#makeSlots()
    this.#slots = slots
    this.#emitStart(first.session)
    slots.emitSlots()
    const stopHeartbeat = startHeartbeat(this.#control, slots, this.#options.leaseMs)
    const stopWatching = watchTrust(this.#control, (error) => this.#distrust(error))
    const warming = this.#once ? null : this.#sessions.warmUp(signal)
    const shutdown = this.#prepareShutdown(signal, slots)
    let remaining: RemainingJob[] = []
    try {
      await this.#loop(slots, signal)
      remaining = (await this.#once?.remaining(this.#control.current)) ?? []
    } finally {
      slots.close()
      shutdown.loopEnded()
      await Promise.race([Promise.all([slots.drain(), this.#retention.stop()]), shutdown.givenUp])
      shutdown.end()
      stopHeartbeat()
      stopWatching()
      await warming
      await this.#announcer.end()
      await this.#presence?.end(this.#control.current)
      await this.#sessions.close()
      await this.#control.close()
    }
    this.#emit({type: 'stopped'})
    return this.#result(remaining)
  }

  async #loop(slots: Slots, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#noteProgress()
      let end: TurnEnd
      try {
        const control = await this.#control.get(signal)
        if (!control) return
        end = await this.#turns.take(control, slots, signal)
      } catch (error) {
        // A stopping worker opens no other session, and has perhaps dropped this one itself.
        if (signal.aborted && isTransient(error)) return
        end = await this.#failures.survive(error)
      }
      if (end.as === 'done') return
      await this.#alarm.wait(end.pauseMs, signal)
    }
  }

  /**
   * Writes nothing to the tables until they can be trusted again. The refreshes in hand are dropped, because
   * their transactions would write records; their jobs are settled later.
   */
  #distrust(error: AybError): void {
    this.#control.distrust(error)
    this.#slots?.dropAll()
    if (this.#once) this.#giveUp.abort()
  }

  /** Has the loop poll now, or as soon as its turn is over. */
  #wake(): void {
    this.#rhythm.wake()
    this.#alarm.ring()
  }

  /** Has the loop take a free slot into account. A worker that runs once looks each time whether it is done. */
  #noteFree({mayBeMore, dueInMs}: LeftByJob): void {
    this.#rhythm.freed({mayBeMore: mayBeMore || this.#options.isOnce, dueInMs})
    this.#alarm.ring()
  }

  #noteProgress(): void {
    this.#lastTurnAt = performance.now()
  }

  #makeSlots(): Slots {
    const {concurrency, refreshTimeoutMs, lockTimeoutMs, lockRetryForMs} = this.#options
    return new Slots(concurrency, this.#sessions, {
      settings: wantedSettings({timeoutMs: refreshTimeoutMs, lockTimeoutMs, lockRetryForMs}),
      emit: this.#emit,
      tally: this.#tally,
      holders: new LockHolders(),
      patience: new LockPatience(),
      watchLocks: new LockSampler(() => this.#control.current).watch,
      signal: this.#cutOff.signal,
      control: () => this.#control.current,
      reconnect: () => reconnect(this.#sessions, this.#giveUp.signal),
      claimNext: () => this.#slots && this.#turns.claimNext(this.#slots),
      onFree: (left) => this.#noteFree(left),
      onDistrust: (error) => this.#distrust(error),
    })
  }

  #prepareShutdown(signal: AbortSignal, slots: Slots): Shutdown {
    return new Shutdown(signal, this.#options.shutdownTimeoutMs, {
      onSignal: () => {
        slots.close()
        this.#emit({type: 'stopping', running: slots.busy, signal: signalName(signal.reason)})
      },
      // The loop waits for an answer that nobody needs any more.
      onImpatience: () => this.#control.current?.session.destroy(),
      onTimeout: () => this.#cutOff.abort(new AybError('CANCELED', 'canceled: the worker was stopped')),
      onLimit: () => {
        this.#giveUp.abort()
        slots.dropAll()
      },
    })
  }

  #emitStart({target, serverVersion, isPooled}: Session): void {
    const {concurrency, pollIntervalMs, leaseMs} = this.#options
    const version = `${Math.floor(serverVersion / 10_000)}.${serverVersion % 10_000}`
    const server = `PostgreSQL ${version} at ${target.host}:${target.port}/${target.database}`
    this.#emit({type: 'started', workerId: this.#sessions.workerId, concurrency, server})
    if (isPooled) this.#emit({type: 'pooled', pollIntervalMs, leaseMs})
  }

  #result(remaining: RemainingJob[]): WorkerResult {
    return {...this.#tally.counts, remaining, warnings: []}
  }
}

/** What told the worker to stop: the name of a signal, or the message about a stream that was closed. */
const signalName = (reason: unknown): string =>
  isAybError(reason) ? String(reason.details?.signal ?? reason.message) : messageOf(reason)
