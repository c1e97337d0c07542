import {announceRefresh} from '../../db/announcements.ts'
import type {Database} from '../../db/database.ts'
import {
  type LockAnswer,
  type RefreshLock,
  takeRefreshLock,
  withRefreshLock,
} from '../../db/locks/refresh-lock.ts'
import {askIdentityAhead} from '../../db/refresh/ask-ahead.ts'
import {newRunId} from '../../db/refresh/attempt.ts'
import {withDeadline} from '../../lib/abort.ts'
import {allDone} from '../../lib/all-done.ts'
import {AybError, isAybError} from '../../lib/errors.ts'
import {qualifiedName, type ViewReference} from '../../lib/identifier.ts'
import type {Refreshed} from '../../lib/records/refreshes.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import type {RequestedMode} from '../../lib/records/values.ts'
import {type RefreshEvent, warningIn} from '../../lib/refresh-events.ts'
import {distinct, type Unworded, type Warning} from '../../lib/unworded.ts'
import {requireRegistration} from '../lookup.ts'
import {attemptRefresh, type Behind, NOTHING_BEHIND} from './attempt.ts'
import type {RefreshCaller} from './caller.ts'
import {cancelOnAbort} from './cancel.ts'
import {changeHandling, requireChanges} from './decide.ts'
import {tellEnd} from './listener.ts'
import {type RefreshRequest, refreshRequest, type WantedSettings} from './request.ts'
import {requireSettings} from './required-settings.ts'
import type {BlockedRefresh} from './result.ts'
import {answerUnchanged, untilLastLook} from './unchanged.ts'
import {endingWith, pause, pauseAfter, queueForLock, readAgain, stillLocked} from './waits.ts'

/** How a person, or a client of the API, wants a view to be refreshed. */
export interface RefreshOptions {
  /** The mode for this refresh; null means the mode that the registration of the view asks for. */
  mode?: RequestedMode | null
  settings: WantedSettings
  /** Whether to wait while another session refreshes the view, and for how long; null means for ever. */
  wait?: {timeoutMs: number | null} | null
  /**
   * True: only where something has changed; false: in any case; null: in any case, but in a set as the policy
   * of the view says.
   */
  ifChanged?: boolean | null
  /**
   * The moment, by performance.now(), whose changes are to be seen: a view that looks unchanged is looked at
   * again 11 s behind that moment. Null for one look.
   */
  changesUntil?: number | null
  /** Aborted with the AybError to end with: the server cancels the statement. */
  signal: AbortSignal
  /** Whether the listener wants to hear of the progress, too. */
  followsProgress?: boolean
  /** Listens to the refresh, which waits at its end for the promises that the listener has returned. */
  onEvent?(event: RefreshEvent, registration: Registration): unknown
}

/** A view that looks unchanged is to be looked at again after so many milliseconds. */
export interface LookAgain {
  lookAgainMs: number
}

/** A registration that was looked up, and the lock of its view. */
interface Prepared {
  registration: Registration
  /** Whoever gets a lock has to release the lock. */
  answer: LockAnswer | 'untried'
}

/** A request, what an attempt needs from a caller, and what the attempts have warned of. */
interface Ordered {
  request: RefreshRequest<Registration>
  caller: RefreshCaller
  warnings: Warning[]
}

const RECONNECT_DEADLINE_MS = 30_000
/**
 * For all statements but the REFRESH itself, which has a deadline of its own or none: these statements are
 * short, and one that is not answered by then has a dead network under it.
 */
const ANSWER_DEADLINE_MS = 15_000

/**
 * Refreshes one registered view: looks it up, waits for its lock where that is wanted, and throws where the
 * refresh fails.
 * @throws AybError NOT_REGISTERED, INVALID_ARGUMENT, REFRESH_IN_PROGRESS, TIMEOUT, CANCELED, REFRESH_FAILED
 * and what explainFailure finds
 */
export async function refresh(
  db: Database,
  reference: ViewReference,
  options: RefreshOptions,
): Promise<Unworded<Refreshed>> {
  const {signal, onEvent} = options
  const within = db.within(ANSWER_DEADLINE_MS)
  // The first id takes 2 to 4 ms, in which the server answers.
  setImmediate(newRunId)
  let prepared = await prepare(db, reference, options)
  for (;;) {
    const done = await refreshRegistered(within, prepared, options, null)
    if (!('lookAgainMs' in done)) return done
    const {registration} = prepared
    await onEvent?.({type: 'unchanged', ...done}, registration)
    await pause(done.lookAgainMs, signal)
    prepared = {registration: await readAgain(within, registration, signal), answer: 'untried'}
  }
}

/**
 * The same, but where the view looks unchanged and needs a second look, returns at once instead of waiting:
 * the caller uses the session for other views meanwhile. `set` has the qualified names of the views of its set,
 * which announces the refresh itself; null where the view is refreshed alone.
 */
export async function refreshOrLookAgain(
  db: Database,
  reference: ViewReference,
  options: RefreshOptions,
  set: ReadonlySet<string> | null,
): Promise<Unworded<Refreshed> | LookAgain> {
  const prepared = await prepare(db, reference, options)
  return refreshRegistered(db.within(ANSWER_DEADLINE_MS), prepared, options, set)
}

/** `set` is null where the view is refreshed alone. */
async function refreshRegistered(
  db: Database,
  {registration, answer: firstAnswer}: Prepared,
  options: RefreshOptions,
  set: ReadonlySet<string> | null,
): Promise<Unworded<Refreshed> | LookAgain> {
  const {signal, wait = null} = options
  const changesOf = ({policy}: Registration) =>
    changeHandling(policy, {wish: options.ifChanged ?? null, isPolicyFollowed: set !== null})
  const requestFor = (current: Registration) =>
    refreshRequest(
      current,
      {asked: options.settings},
      {mode: options.mode ?? null, changes: changesOf(current)},
    )
  const {runId} = requestFor(registration)
  const warnings: Warning[] = []
  const caller = callerOf(db, registration, warnings, options)
  let behind = NOTHING_BEHIND
  let deadline: number | null = null
  let hasWaited = false
  // The last try, until another attempt has recorded how the refresh ended.
  let blocked: BlockedRefresh | null = null
  try {
    for (let answer = firstAnswer; ; ) {
      const work = async (lock: RefreshLock) => {
        signal.throwIfAborted()
        const current = hasWaited ? await readAgain(db, registration, signal) : registration
        const ordered = {request: {...requestFor(current), runId}, caller, warnings}
        const onEnd = () => {
          blocked = null
        }
        return attempt(db, ordered, {lock, behind, onEnd})
      }
      const result = await withRefreshLock(db.session, registration, work, answer)
      if (result && 'status' in result) {
        if (result.status === 'unchanged') {
          const lookAgainMs = untilLastLook(result.look, options, set)
          if (lookAgainMs !== null) return {lookAgainMs}
          return await answerUnchanged(db, registration, result, warnings)
        }
        if (result.status === 'outdated') behind = {...behind, outdatedTries: behind.outdatedTries + 1}
        else {
          blocked = result
          behind = {...behind, past: await pauseAfter(result, signal)}
          deadline = null
        }
        hasWaited = true
        answer = 'untried'
        continue
      }
      if (result) {
        if (set === null) await announceRefresh(db.session)
        return result.refreshed
      }
      signal.throwIfAborted()
      // Between two tries another session may refresh the view: each wait for such a refresh has the whole
      // time.
      deadline ??= wait?.timeoutMs == null ? Number.POSITIVE_INFINITY : performance.now() + wait.timeoutMs
      const leftMs = deadline - performance.now()
      if (!wait || leftMs <= 0) throw await stillLocked(db, registration, wait?.timeoutMs ?? null)
      hasWaited = true
      options.onEvent?.({type: 'queued'}, registration)
      answer = (await queueForLock(db, registration, leftMs, signal)) ?? 'refused'
    }
  } catch (error) {
    throw blocked ? await giveUpTries(blocked, error, caller) : error
  }
}

const callerOf = (
  db: Database,
  registration: Registration,
  warnings: Warning[],
  {signal, followsProgress = false, onEvent}: RefreshOptions,
): RefreshCaller => ({
  signal,
  followsProgress,
  onEvent(event) {
    const warning = warningIn(event)
    if (warning !== null) warnings.push(warning)
    return onEvent?.(event, registration)
  },
  watchLocks: null,
  reconnect: () => reconnect(db),
  recordPatienceMs: 0,
  transitionAfter: () => ({state: 'failed'}),
})

/** Records tries that no other try follows, for whatever reason. Returns the error to end with. */
async function giveUpTries(
  blocked: BlockedRefresh,
  reason: unknown,
  caller: RefreshCaller,
): Promise<unknown> {
  // The history of a view goes with its registration.
  if (isAybError(reason, 'NOT_REGISTERED')) return reason
  const result = await blocked.giveUp(reason)
  await tellEnd(caller, result)
  return result.status === 'failed' ? result.reason : reason
}

/**
 * One attempt, under the lock. Returns what to answer, or the result of an attempt that is to be made again.
 * Calls `onEnd` when the run has been recorded, or is to be recorded by `giveUp` of the result.
 */
async function attempt(
  db: Database,
  {request, caller, warnings}: Ordered,
  {lock, behind, onEnd}: {lock: RefreshLock; behind: Behind; onEnd: () => void},
) {
  const {registration} = request
  const result = await attemptRefresh(db, request, {lock, behind, caller})
  if (result.status !== 'outdated') onEnd()
  await tellEnd(caller, result)
  if (result.status === 'failed') throw result.reason
  if (result.status === 'undue') throw new Error('a refresh by hand has no schedule')
  if (result.status !== 'success') return result
  if (result.registration === null) {
    warnings.push(`${qualifiedName(registration)} was unregistered during its refresh`)
  }
  const refreshed: Unworded<Refreshed> = {
    registration: result.registration ? {...result.registration, policy: registration.policy} : registration,
    durationMs: result.durationMs,
    // A refresh of several tries says the same with each of them.
    warnings: [...db.takeWarnings(), ...distinct(warnings)],
    lockWaitMs: Math.round(behind.past.waitMs),
    status: 'success',
    reason: result.checked?.reason ?? null,
    checkedAt: result.checked?.at ?? null,
  }
  return {refreshed}
}

/** The network that lost the first session may fail the second one, too, whatever PGCONNECT_TIMEOUT says. */
function reconnect(db: Database): Promise<Database> {
  const expired = (limitMs: number) =>
    new AybError('CONNECTION_FAILED', `no connection within ${limitMs / 1000} s`)
  return withDeadline(RECONNECT_DEADLINE_MS, expired, undefined, (signal) =>
    db.server.open({signal, deadlineMs: RECONNECT_DEADLINE_MS}),
  )
}

/**
 * Looks the view up and sees to the tables. Both can wait for a lock, and an abort ends that wait, too. A view
 * that is known by its name is locked meanwhile, where nothing but the answer is waited for: each answer costs
 * the time of the network. Behind a pooler the lock would be that of a transaction, in which nothing else may
 * run yet.
 */
async function prepare(
  db: Database,
  reference: ViewReference,
  {settings, signal, ifChanged}: Pick<RefreshOptions, 'settings' | 'signal' | 'ifChanged'>,
): Promise<Prepared> {
  const watched = db.watched()
  const {session} = db.within(ANSWER_DEADLINE_MS)
  const lookUp = async () => {
    const registration = await requireRegistration(watched, reference)
    if (ifChanged) requireChanges(db)
    await requireSettings(watched, settings.postgres)
    await watched.prepareTables()
    return registration
  }
  return endingWith(signal, () =>
    cancelOnAbort(session, signal, async () => {
      const [locking, lookingUp] = session.together(() => {
        const isQuick =
          !session.isPooled && !db.hasPendingMigrations && Object.keys(settings.postgres).length === 0
        // Sent first: the lock needs nothing, while the tables may be locked for long.
        const sent = isQuick && !('id' in reference) ? takeRefreshLock(session, reference) : null
        askIdentityAhead(watched)
        return [sent, lookUp()] as const
      })
      try {
        const [registration, lock] = await allDone([lookingUp, locking])
        return {registration, answer: locking === null ? 'untried' : (lock ?? 'refused')}
      } catch (error) {
        const lock = await locking?.catch(() => null)
        await lock?.release()
        throw error
      }
    }),
  )
}
