import {setMaxListeners} from 'node:events'
import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {askIdentityAhead} from '../../db/refresh/ask-ahead.ts'
import {listRegistrations} from '../../db/registrations.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {RefreshedSet, SetMember} from '../../lib/records/refreshes.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import {timerMs} from '../../lib/timer.ts'
import {distinct, type Unworded, type Warning} from '../../lib/unworded.ts'
import type {LookAgain} from '../refresh/by-hand.ts'
import {cancelOnAbort} from '../refresh/cancel.ts'
import type {Member} from './order.ts'
import type {SetPlan} from './plan.ts'
import {SetProgress} from './progress.ts'
import {NoSessionLeft, SetSessions} from './sessions.ts'
import {type Ended, failed, type SetOptions, Turn} from './turn.ts'

/** Where a view usually takes no longer, the sessions for the views that follow are opened meanwhile. */
const AHEAD_MS = 30_000

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
  askIdentityAhead(db)
  const run = new SetRun(plan, options)
  for (;;) {
    const refreshed = await run.proceed(db)
    if (refreshed !== null) return refreshed
    await run.rest()
  }
}

/**
 * A set that is being refreshed. The set rests, and needs no session, while all views that are left wait for
 * their second look.
 */
export class SetRun {
  readonly #warnings: Warning[]
  readonly #members: readonly Member[]
  readonly #options: SetOptions
  readonly #progress: SetProgress
  readonly #ended = new Map<Member, SetMember>()
  readonly #names: ReadonlySet<string>
  /** When the first refresh could start, as performance.now() tells it; null before. */
  #startedAt: number | null = null
  /** Ends a wait that nobody needs any more. */
  readonly #over = new AbortController()
  /**
   * Until the views that look unchanged are looked at again, all at the same time; null without such views.
   */
  #secondLook: Promise<void> | null = null
  /** How many views may run at once, where the server or a pooler has no room for more. */
  #limit = Number.POSITIVE_INFINITY
  /**
   * Whether a pooler has too few connections: more views would take them from those that run, which need a
   * connection for their records, too.
   */
  #isNarrow = false

  constructor({members, warnings}: SetPlan, options: SetOptions) {
    this.#warnings = [...warnings]
    this.#members = members
    this.#names = new Set(members.map(({registration}) => qualifiedName(registration)))
    this.#options = options
    this.#progress = new SetProgress(members, options)
    // Each refresh listens to the signal.
    setMaxListeners(0, options.signal)
  }

  /**
   * Refreshes views until the set has ended, or rests. Returns null if the set rests.
   * @throws AybError the same as refreshSet
   */
  async proceed(db: Database): Promise<Unworded<RefreshedSet> | null> {
    if (this.#startedAt === null) await this.#prepare(db)
    this.#startedAt ??= performance.now()
    this.#warnings.push(...db.takeWarnings())
    const sessions = new SetSessions(db, this.#options.signal, (warning) => this.#warnings.push(warning))
    const isResting = await this.#toRest(sessions).finally(() => sessions.close())
    if (isResting) return null
    this.#over.abort()
    return this.#refreshed(await withLatest(db, this.#inOrder()))
  }

  /** Waits until the second look is due. */
  async rest(): Promise<void> {
    await this.#secondLook
  }

  /** Ends a set that rests and cannot proceed. */
  giveUp(error: unknown): Unworded<RefreshedSet> {
    this.#over.abort()
    this.#dropCanceled()
    this.#progress.bringBack()
    for (let left = this.#progress.take(); left.length > 0; left = this.#progress.take())
      for (const member of left) this.#end(member, failed(error, this.#options))
    return this.#refreshed(this.#inOrder())
  }

  async #prepare(db: Database): Promise<void> {
    const {signal} = this.#options
    if (signal.aborted) return
    await cancelOnAbort(db.session, signal, () => db.watched().prepareTables()).catch((error) => {
      if (!signal.aborted) throw error
    })
  }

  #inOrder(): SetMember[] {
    return this.#members.flatMap((member) => this.#ended.get(member) ?? [])
  }

  #refreshed(refreshes: SetMember[]): Unworded<RefreshedSet> {
    return {
      refreshes,
      counts: countStatuses(refreshes),
      durationMs: Math.round(performance.now() - (this.#startedAt ?? performance.now())),
      warnings: distinct(this.#warnings),
    }
  }

  /** After a cancellation, ends the views that do not run. */
  #dropCanceled(): void {
    if (!this.#options.signal.aborted) return
    for (const member of this.#progress.drop()) this.#end(member, {status: 'canceled'})
  }

  /** Runs views until no more view can run. Returns whether the set rests; otherwise the set has ended. */
  async #toRest(sessions: SetSessions): Promise<boolean> {
    const {signal} = this.#options
    const running = new Set<Promise<void>>()
    for (;;) {
      this.#dropCanceled()
      for (const member of this.#progress.take(this.#limit)) {
        const turn = this.#run(member, sessions).finally(() => running.delete(turn))
        running.add(turn)
      }
      if (running.size === 0) return this.#progress.hasAside
      const soon = this.#progress.runningSoon(AHEAD_MS)
      if (!signal.aborted) sessions.openAhead(Math.min(soon, this.#limit))
      await Promise.race(this.#secondLook === null ? running : [...running, this.#secondLook])
    }
  }

  /** The turn of a member. */
  async #run(member: Member, sessions: SetSessions): Promise<void> {
    const {listener} = this.#options
    try {
      const db = await sessions.acquire()
      const isKept = sessions.isKept(db)
      const turn = new Turn(member, db)
      listener.onStart(member)
      const ended = await turn.refresh(this.#options, this.#names)
      // The views that waited for this one need not wait for its session.
      sessions.release(db, {isRefreshed: 'status' in ended && ended.status === 'success'})
      // Behind a pooler, a statement without an answer may wait for a connection that another view has.
      if (turn.lost !== null && db.session.isPooled && this.#progress.running > 1) {
        this.#isNarrow = true
        this.#putBack(member, `a session got no answer while other sessions did: ${turn.lost.message}`)
        return
      }
      // A session that was lost before the refresh began may have died between two views.
      if (turn.lost !== null && isKept && !db.session.isUsable) {
        listener.onPutBack(member)
        return await this.#run(member, sessions)
      }
      for (const warning of turn.warnings()) this.#warnings.push(warning)
      if (!this.#isNarrow) this.#limit = Number.POSITIVE_INFINITY
      if ('lookAgainMs' in ended) this.#putAside(member, ended)
      else this.#end(member, ended)
    } catch (error) {
      if (error instanceof NoSessionLeft) {
        this.#putBack(member, `no more sessions could be opened: ${error.message}`)
      } else this.#end(member, failed(error, this.#options))
    }
  }

  /** The member waits until another one has ended. */
  #putBack(member: Member, reason: string): void {
    this.#warnings.push(`fewer views are refreshed at once, because ${reason}`)
    this.#options.listener.onPutBack(member)
    for (const skipped of this.#progress.putBack(member)) {
      this.#end(skipped.member, {status: 'skipped', reason: skipped.reason})
    }
    // Whoever was to make room may have ended by now.
    this.#limit = Math.max(1, this.#progress.running)
  }

  /** The member looks unchanged, and has another turn when the whole set is looked at again. */
  #putAside(member: Member, {lookAgainMs}: LookAgain): void {
    for (const skipped of this.#progress.putAside(member)) {
      this.#end(skipped.member, {status: 'skipped', reason: skipped.reason})
    }
    const signal = AbortSignal.any([this.#options.signal, this.#over.signal])
    this.#secondLook ??= sleep(timerMs(lookAgainMs), undefined, {signal})
      .catch(() => {})
      .then(() => {
        this.#secondLook = null
        this.#progress.bringBack()
      })
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
      isSuccess: status === 'success' || status === 'unchanged',
    })) {
      this.#end(skipped, {status: 'skipped', reason})
    }
  }
}

/** The registrations as they are now. What cannot be read, or is gone, stays as it was. */
async function withLatest(db: Database, refreshes: readonly SetMember[]): Promise<SetMember[]> {
  const read = () => listRegistrations(db.within(LAST_LOOK_DEADLINE_MS), null)
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
