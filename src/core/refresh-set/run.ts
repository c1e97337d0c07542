import {setMaxListeners} from 'node:events'
import type {Database} from '../../db/database.ts'
import {listRegistrations} from '../../db/registrations.ts'
import {withDeadline} from '../../lib/abort.ts'
import {isAybError} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {ErrorRecord, RefreshedSet, Registration, SetMember} from '../../lib/records.ts'
import {type RefreshEvent, warningIn} from '../../lib/refresh-events.ts'
import {type RefreshOptions, refresh} from '../refresh/by-hand.ts'
import type {Member} from './order.ts'
import type {SetPlan} from './plan.ts'
import {SetProgress} from './progress.ts'
import {NoSessionLeft, SetSessions} from './sessions.ts'

/** What a caller hears of a set. */
export interface SetListener {
  /** The turn of a view has come. */
  onStart(member: Member): void
  onEvent(member: Member, event: RefreshEvent): void
  /** A view has ended, also without a turn. */
  onEnd(member: Member, ended: SetMember): void
}

export interface SetOptions extends Pick<RefreshOptions, 'mode' | 'settings' | 'wait'> {
  concurrency: number
  isFailFast: boolean
  /** Cancels all that runs; what has not started is canceled, too. */
  signal: AbortSignal
  listener: SetListener
  /** An error in words for the readers of the document. */
  describeError(error: unknown): ErrorRecord
}

/** To read the registrations at the end, which a lost connection must not hold up. */
const LAST_LOOK_DEADLINE_MS = 15_000

/**
 * Refreshes the views of a set, each through the one path for a refresh by hand. Never rejects for what
 * happens to a view.
 * @throws AybError READ_ONLY, PERMISSION_DENIED and the like, before the first refresh
 */
export async function refreshSet(db: Database, plan: SetPlan, options: SetOptions): Promise<RefreshedSet> {
  await db.prepareTables()
  const startedAt = performance.now()
  const run = new SetRun(db, plan, options, await clockOf(db))
  await run.toEnd()
  const refreshes = await withLatest(db, run.inOrder())
  return {
    refreshes,
    counts: countStatuses(refreshes),
    durationMs: Math.round(performance.now() - startedAt),
    warnings: [...new Set(run.warnings)],
  }
}

/** Tells the time of the database without asking again. */
async function clockOf({session}: Database): Promise<() => string> {
  const now = await session.serverTime()
  const askedAt = performance.now()
  return () => new Date(now.getTime() + performance.now() - askedAt).toISOString()
}

/** One set on its way. */
class SetRun {
  readonly warnings: string[]
  readonly #members: readonly Member[]
  readonly #options: SetOptions
  readonly #now: () => string
  readonly #progress: SetProgress
  readonly #sessions: SetSessions
  readonly #ended = new Map<Member, SetMember>()
  /** Whether the server gave no more sessions, until a refresh ends. */
  #isFull = false

  constructor(db: Database, {members, warnings}: SetPlan, options: SetOptions, now: () => string) {
    this.warnings = [...warnings, ...db.takeWarnings()]
    this.#members = members
    this.#options = options
    this.#now = now
    this.#progress = new SetProgress(members, options)
    this.#sessions = new SetSessions(db, options.signal, (warning) => this.warnings.push(warning))
    // Each refresh listens to the signal.
    setMaxListeners(0, options.signal)
  }

  inOrder(): SetMember[] {
    return this.#members.flatMap((member) => this.#ended.get(member) ?? [])
  }

  async toEnd(): Promise<void> {
    const {signal} = this.#options
    const running = new Set<Promise<void>>()
    try {
      for (;;) {
        if (signal.aborted)
          for (const member of this.#progress.drop()) this.#end(member, {status: 'canceled'})
        // Whoever is to make room may have ended before the lack of room was noticed.
        const mayStart = !this.#isFull || running.size === 0
        for (const member of mayStart ? this.#progress.take() : []) {
          const turn = this.#run(member).finally(() => running.delete(turn))
          running.add(turn)
        }
        if (running.size === 0) return
        await Promise.race(running)
      }
    } finally {
      await this.#sessions.close()
    }
  }

  /** The turn of a member, which ends with a free session. */
  async #run(member: Member): Promise<void> {
    const startedAt = this.#now()
    try {
      const db = await this.#sessions.acquire()
      const turn = new Turn(member, db, startedAt)
      this.#options.listener.onStart(member)
      const ended = await turn.refresh(this.#options)
      for (const warning of turn.warnings()) this.warnings.push(warning)
      await this.#sessions.release(db)
      this.#isFull = false
      this.#end(member, ended)
    } catch (error) {
      if (error instanceof NoSessionLeft) {
        this.#isFull = true
        this.warnings.push(
          `fewer views were refreshed at once, since no more sessions could be opened: ${error.message}`,
        )
        for (const skipped of this.#progress.putBack(member)) {
          this.#end(skipped.member, {status: 'skipped', reason: skipped.reason})
        }
      } else this.#end(member, failed(error, {startedAt, durationMs: null}, this.#options))
    }
  }

  #end(member: Member, {status, ...ended}: Ended): void {
    const record: SetMember = {
      registration: member.registration,
      status,
      reason: null,
      error: null,
      startedAt: null,
      durationMs: null,
      lockWaitMs: null,
      ...ended,
    }
    this.#ended.set(member, record)
    this.#options.listener.onEnd(member, record)
    if (status === 'skipped' || status === 'canceled') return
    for (const {member: skipped, reason} of this.#progress.end(member, {
      isSuccess: status === 'success',
    })) {
      this.#end(skipped, {status: 'skipped', reason})
    }
  }
}

type Ended = Partial<SetMember> & Pick<SetMember, 'status'>

/** One view of a set, on its session. */
class Turn {
  readonly #member: Member
  readonly #db: Database
  readonly #startedAt: string
  readonly #warnings: string[] = []
  /** When the first try began, as performance.now() tells it; null before that. */
  #triedAt: number | null = null

  constructor(member: Member, db: Database, startedAt: string) {
    this.#member = member
    this.#db = db
    this.#startedAt = startedAt
  }

  async refresh(options: SetOptions): Promise<Ended> {
    const {mode = null, settings, wait = null, signal} = options
    // By name: the view may have been unregistered and registered again.
    const {schemaName, viewName} = this.#member.registration
    const times = {startedAt: this.#startedAt}
    const onEvent = (event: RefreshEvent) => this.#hear(event, options)
    try {
      const refreshed = await withDeadline(
        undefined,
        () => null,
        signal,
        (own) => refresh(this.#db, {schemaName, viewName}, {mode, settings, wait, signal: own, onEvent}),
      )
      const {durationMs, lockWaitMs, warnings} = refreshed
      this.#warnings.push(...warnings)
      return {status: 'success', registration: refreshed.registration, ...times, durationMs, lockWaitMs}
    } catch (error) {
      const explained = await this.#db.explain(error).catch(() => error)
      this.#warnings.push(...this.#db.takeWarnings())
      const durationMs = this.#triedAt === null ? null : Math.round(performance.now() - this.#triedAt)
      return failed(explained, {...times, durationMs}, options)
    }
  }

  #hear(event: RefreshEvent, {listener}: SetOptions): void {
    if (event.type === 'refreshing') this.#triedAt ??= performance.now()
    const warning = warningIn(event)
    if (warning !== null) this.#warnings.push(warning)
    listener.onEvent(this.#member, event)
  }

  /** Each once, and with the name of the view. */
  warnings(): string[] {
    const view = qualifiedName(this.#member.registration)
    return [...new Set(this.#warnings)].map((text) => (text.includes(view) ? text : `${view}: ${text}`))
  }
}

function failed(
  error: unknown,
  times: Pick<SetMember, 'startedAt' | 'durationMs'>,
  {signal, describeError}: SetOptions,
): Ended {
  const isCanceled = signal.aborted && isAybError(error, 'CANCELED')
  return {status: isCanceled ? 'canceled' : 'error', error: describeError(error), ...times}
}

/** The registrations as they are now. What cannot be read, or is gone, stays as it was. */
async function withLatest(db: Database, refreshes: readonly SetMember[]): Promise<SetMember[]> {
  const read = () => db.session.within(LAST_LOOK_DEADLINE_MS, () => listRegistrations(db, null))
  const latest = new Map<string, Registration>()
  if (db.session.isUsable && refreshes.some(({status}) => status !== 'success')) {
    const listed = await read().catch(() => [])
    for (const {exists: _, nextRunAt: __, ...registration} of listed)
      latest.set(registration.id, registration)
  }
  return refreshes.map((member) => ({
    ...member,
    registration: latest.get(member.registration.id) ?? member.registration,
  }))
}

function countStatuses(refreshes: readonly SetMember[]): RefreshedSet['counts'] {
  const counts = {success: 0, unchanged: 0, error: 0, skipped: 0, canceled: 0}
  for (const {status} of refreshes) counts[status]++
  return counts
}
