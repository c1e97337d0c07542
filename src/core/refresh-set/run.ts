import {setMaxListeners} from 'node:events'
import type {Database} from '../../db/database.ts'
import {listRegistrations} from '../../db/registrations.ts'
import {withDeadline} from '../../lib/abort.ts'
import {AybError, isAybError} from '../../lib/errors.ts'
import {notRegistered} from '../../lib/failures/registrations.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {ErrorRecord, RefreshedSet, Registration, SetMember, ViewName} from '../../lib/records.ts'
import {type RefreshEvent, type RunTimes, warningIn} from '../../lib/refresh-events.ts'
import {distinct, type Unworded, type Warning} from '../../lib/unworded.ts'
import {type RefreshOptions, refresh} from '../refresh/by-hand.ts'
import {cancelOnAbort} from '../refresh/cancel.ts'
import type {Member} from './order.ts'
import type {SetPlan} from './plan.ts'
import {SetProgress} from './progress.ts'
import {mayPass, NoSessionLeft, SetSessions} from './sessions.ts'

/** What a caller hears of a set. */
export interface SetListener {
  /** The turn of a view has come. */
  onStart(member: Member): void
  onEvent(member: Member, event: RefreshEvent): void
  /** There is no session for the view at the moment: its turn comes again. */
  onPutBack(member: Member): void
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
export async function refreshSet(
  db: Database,
  plan: SetPlan,
  options: SetOptions,
): Promise<Unworded<RefreshedSet>> {
  const {signal} = options
  const prepare = () => db.watching(() => cancelOnAbort(db.session, signal, () => db.prepareTables()))
  if (!signal.aborted) {
    await prepare().catch((error) => {
      if (!signal.aborted) throw error
    })
  }
  const startedAt = performance.now()
  const run = new SetRun(db, plan, options)
  await run.toEnd()
  const refreshes = await withLatest(db, run.inOrder())
  return {
    refreshes,
    counts: countStatuses(refreshes),
    durationMs: Math.round(performance.now() - startedAt),
    warnings: distinct(run.warnings),
  }
}

/** One set on its way. */
class SetRun {
  readonly warnings: Warning[]
  readonly #members: readonly Member[]
  readonly #options: SetOptions
  readonly #progress: SetProgress
  readonly #sessions: SetSessions
  readonly #ended = new Map<Member, SetMember>()
  /** How many views may run at once, where the server or a pooler has no room for more. */
  #limit = Number.POSITIVE_INFINITY
  /**
   * Whether a pooler has too few connections: more views would take them from those that run, which need a
   * connection for their records, too.
   */
  #isNarrow = false

  constructor(db: Database, {members, warnings}: SetPlan, options: SetOptions) {
    this.warnings = [...warnings, ...db.takeWarnings()]
    this.#members = members
    this.#options = options
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
        for (const member of this.#progress.take(this.#limit)) {
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
    const {listener} = this.#options
    try {
      const db = await this.#sessions.acquire()
      const turn = new Turn(member, db)
      listener.onStart(member)
      const ended = await turn.refresh(this.#options)
      await this.#sessions.release(db)
      // Behind a pooler, a statement without an answer may wait for a connection that another view has.
      if (turn.lost !== null && db.session.isPooled && this.#progress.running > 1) {
        this.#isNarrow = true
        this.#putBack(member, `a session had no answer while other views had theirs: ${turn.lost.message}`)
        return
      }
      for (const warning of turn.warnings()) this.warnings.push(warning)
      if (!this.#isNarrow) this.#limit = Number.POSITIVE_INFINITY
      this.#end(member, ended)
    } catch (error) {
      if (error instanceof NoSessionLeft) {
        this.#putBack(member, `no more sessions could be opened: ${error.message}`)
      } else this.#end(member, failed(error, this.#options))
    }
  }

  /** The member waits until another one has ended. */
  #putBack(member: Member, reason: string): void {
    this.warnings.push(`fewer views are refreshed at once, since ${reason}`)
    this.#options.listener.onPutBack(member)
    for (const skipped of this.#progress.putBack(member)) {
      this.#end(skipped.member, {status: 'skipped', reason: skipped.reason})
    }
    // Whoever was to make room may have ended by now.
    this.#limit = Math.max(1, this.#progress.running)
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
  readonly #warnings: Warning[] = []
  /** Of the run, once the refresh has ended. */
  #times: RunTimes | null = null
  /** The error with which the connection was lost before there was a run. */
  lost: Error | null = null

  constructor(member: Member, db: Database) {
    this.#member = member
    this.#db = db
  }

  async refresh(options: SetOptions): Promise<Ended> {
    const {mode = null, settings, wait = null, signal} = options
    // By name: the view may have been unregistered and registered again.
    const {schemaName, viewName} = this.#member.registration
    const onEvent = (event: RefreshEvent) => this.#hear(event, options)
    try {
      const refreshed = await withDeadline(
        undefined,
        () => null,
        signal,
        (own) => refresh(this.#db, {schemaName, viewName}, {mode, settings, wait, signal: own, onEvent}),
      )
      this.#warnings.push(...refreshed.warnings)
      return {status: 'success', registration: refreshed.registration, ...this.#times}
    } catch (error) {
      const explained = await this.#db.explain(error).catch(() => error)
      this.#warnings.push(...this.#db.takeWarnings())
      if (this.#times === null && !options.signal.aborted && mayPass(error)) this.lost = error
      return {...failed(withoutGuess(explained, this.#member.registration), options), ...this.#times}
    }
  }

  #hear(event: RefreshEvent, {listener}: SetOptions): void {
    if (event.type === 'ended') {
      const {type: _, ...times} = event
      this.#times = times
    }
    const warning = warningIn(event)
    if (warning !== null) this.#warnings.push(warning)
    listener.onEvent(this.#member, event)
  }

  /** Each once, and with the name of the view. */
  warnings(): Warning[] {
    return distinct(
      this.#warnings.map((warning) => naming(qualifiedName(this.#member.registration), warning)),
    )
  }
}

/** The warning with the name of the view it is about. */
function naming(view: string, warning: Warning): Warning {
  const name = (text: string) => (text.includes(view) ? text : `${view}: ${text}`)
  return typeof warning === 'string' ? name(warning) : {...warning, message: name(warning.message)}
}

/** The error without the name of another view: nobody has mistyped the name, the view went meanwhile. */
function withoutGuess(error: unknown, {schemaName, viewName}: ViewName): unknown {
  if (!isAybError(error) || (error.details !== null && 'renamed' in error.details)) return error
  if (error.code === 'NOT_REGISTERED') return notRegistered({schemaName, viewName}, null)
  if (error.code !== 'VIEW_NOT_FOUND') return error
  return new AybError('VIEW_NOT_FOUND', error.message, {remedy: {kind: 'discover-views'}})
}

function failed(error: unknown, {signal, describeError}: SetOptions): Ended {
  const isCanceled = signal.aborted && isAybError(error, 'CANCELED')
  return {status: isCanceled ? 'canceled' : 'error', error: describeError(error)}
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
