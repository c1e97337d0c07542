import type {Attempt} from '../../db/attempt.ts'
import type {Database} from '../../db/database.ts'
import type {Failure} from '../../db/failure-record.ts'
import type {LockWait} from '../../db/locks/lock-waits.ts'
import type {RefreshLock} from '../../db/locks/refresh-lock.ts'
import {findTableBlockers} from '../../db/pending-status.ts'
import type {ClaimRequest, LockedJob} from '../../db/queue/claims.ts'
import type {JobTransition} from '../../db/queue/fence.ts'
import {OutdatedSnapshot, RecordBlocked, runRefresh} from '../../db/refresh.ts'
import {findRegistration} from '../../db/registrations.ts'
import {hasSqlstate, SQLSTATE} from '../../db/sqlstate.ts'
import {isAybError, messageOf} from '../../lib/errors.ts'
import {alwaysOutdated, lockTimeout, recordTimeout} from '../../lib/failures/refreshes.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {Registration} from '../../lib/records.ts'
import type {OnRefreshEvent, RefreshEvent} from '../../lib/refresh-events.ts'
import {findWait, type LockWatch, nextTry, type WatchLocks, watchFromSecondSession} from './blockers.ts'
import {cancelOnAbort} from './cancel.ts'
import {endingCommitWait} from './commit-watch.ts'
import {deadConnectionLook} from './dead-connection.ts'
import {explainFailure} from './failure.ts'
import {listen} from './listener.ts'
import {recordEnd, writePendingStatus} from './record.ts'
import type {RefreshRequest} from './request.ts'
import {SecondSession} from './second-session.ts'
import {type LockTry, lockPolicy, NO_TRIES, type PastTries, pauseAfterTry, withTry} from './tries.ts'

/** How an attempt at a refresh ended. */
export type RefreshResult = SuccessfulRefresh | FailedRefresh | OutdatedRefresh | BlockedRefresh

interface SuccessfulRefresh {
  status: 'success'
  /** As it is after the refresh; null where it was unregistered meanwhile, and for a job. */
  registration: Registration | null
  durationMs: number
  /** False where the job was no longer ours: then nothing was recorded. */
  isSettled: boolean
  /** The job that was claimed in the same transaction. */
  next: LockedJob | null
}

interface FailedRefresh {
  status: 'failed'
  /** An AybError; anything else is a bug. */
  reason: unknown
  durationMs: number
  transition: JobTransition
  /** False where the job was no longer ours: then nothing was recorded. */
  isSettled: boolean
  /** Whether the job was ended instead of queued: its schedule was disabled or deleted meanwhile. */
  isCalledOff: boolean
  /** False where nothing could be written, as the listener was told. */
  isRecorded: boolean
}

/** The tables below the view were replaced while REFRESH waited for a lock: nothing was done or recorded. Try again. */
interface OutdatedRefresh {
  status: 'outdated'
}

/** The lock of the view could not be had, and there is patience left: nothing was done or recorded. Try again later. */
export interface BlockedRefresh {
  status: 'blocked'
  wait: LockWait
  /** How long to let others pass before the next try. */
  pauseMs: number
  /** The tries so far, with this one. */
  past: PastTries
  /** Records that there will be no other try, and why. */
  giveUp(reason: unknown): Promise<RefreshResult>
}

/** What a refresh has behind it. */
export interface Behind {
  /** Tries that waited in vain for the lock of the view. */
  past: PastTries
  /** Attempts that found their snapshot outdated. */
  outdatedTries: number
}

export const NOTHING_BEHIND: Behind = {past: NO_TRIES, outdatedTries: 0}

/** What an attempt needs from whoever asks for the refresh: a person, a client of the API, a worker. */
export interface RefreshCaller {
  /** Aborted with the error to end with: the server cancels the statement. */
  signal: AbortSignal
  onEvent: OnRefreshEvent
  /**
   * Of a caller that watches all its refreshes from one session, for locks and for dead connections; null
   * where each refresh is watched from a second session of its own.
   */
  watchLocks: WatchLocks | null
  /** The same database on a new session, after the connection was lost. */
  reconnect(): Promise<Database>
  /** For how long recording a failure is tried again, in milliseconds. */
  recordPatienceMs: number
  /** What becomes of the job when the attempt fails for that reason. */
  transitionAfter(reason: unknown): JobTransition
  /** What to claim behind a success, in its transaction; null for nothing. */
  claimNext?(): ClaimRequest | null
}

/** In which an attempt is made. */
interface Circumstances {
  /** Of the view, held by the session of the attempt. */
  lock: RefreshLock
  behind: Behind
  caller: RefreshCaller
}

/** A load replaces a table now and then. A view whose own query replaces a table would be refreshed for ever. */
const MOST_OUTDATED_TRIES = 10

/**
 * Refreshes the view of a request on a session that holds the lock of that view, and records how that ended. Releases the
 * lock. The steps, in this order:
 *
 * 1. plan: how long this try may wait for the lock of the view
 * 2. (whether to refresh at all is decided here, under the lock and before the statement)
 * 3. statement: REFRESH and its record, one message in one transaction, with the unlock right behind
 * 4. result: where the statement failed, why, and the record of that
 */
export async function attemptRefresh(
  db: Database,
  request: RefreshRequest,
  circumstances: Circumstances,
): Promise<RefreshResult> {
  const second = new SecondSession(db)
  if (circumstances.caller.watchLocks === null) {
    const awaited = {session: db.session, view: request.registration, lock: circumstances.lock}
    second.add(deadConnectionLook(awaited))
  }
  try {
    return await attemptWatched(db, request, circumstances, second)
  } finally {
    await second.stop()
  }
}

async function attemptWatched(
  db: Database,
  request: RefreshRequest,
  {lock, behind, caller}: Circumstances,
  second: SecondSession,
): Promise<RefreshResult> {
  const {past, outdatedTries} = behind
  const listener = listen(caller.onEvent)
  listener.emit({type: 'refreshing'})
  const {registration, settings, job, runId} = request
  const mode = request.mode ?? registration.refreshMode
  const lockTry = await nextTry(db, registration, lockPolicy(settings, mode), past)
  const attempt: Attempt = {
    runId,
    registration,
    mode,
    job,
    settings: {...settings, lockTimeoutMs: lockTry.limitMs},
    lockWaitMs: past.waitMs,
    startedAt: lock.startedAt,
  }
  const sentAt = performance.now()
  const watchLocks = caller.watchLocks ?? watchFromSecondSession(second)
  const watch = watchLocks({
    pid: lock.pid,
    view: registration,
    limitMs: lockTry.limitMs,
    onWait: (wait) => {
      const waitedMs = past.elapsedMs + performance.now() - sentAt
      listener.emit(wait ? {type: 'blocked', blockers: wait.blockers, waitedMs} : {type: 'refreshing'})
    },
  })
  const {emit} = listener
  const trial: Trial = {db, attempt, lock, lockTry, outdatedTries, second, watch, caller, emit}
  try {
    return await refreshNow(trial).catch((error) =>
      explainAndRecord(trial, error, performance.now() - sentAt),
    )
  } finally {
    await watch.stop()
    for (const message of await listener.settled()) listener.emit({type: 'warning', message})
  }
}

/** An attempt, and what goes on around its statement. */
interface Trial {
  db: Database
  attempt: Attempt
  lock: RefreshLock
  lockTry: LockTry
  outdatedTries: number
  second: SecondSession
  watch: LockWatch
  caller: RefreshCaller
  emit(event: RefreshEvent): void
}

async function refreshNow({db, attempt, lock, second, caller, emit}: Trial): Promise<RefreshResult> {
  const {session} = db
  const claim = session.keepsStatements ? (caller.claimNext?.() ?? null) : null
  const limited = {session, pid: lock.pid, timeoutMs: attempt.settings.timeoutMs}
  const done = await endingCommitWait(second, limited, () =>
    cancelOnAbort(session, caller.signal, () => runRefresh(db, attempt, lock, claim)),
  )
  if (!done.isStatusPending) return {status: 'success', ...done}
  const warning = await writePendingStatus(db, attempt)
  if (warning !== null) emit({type: 'warning', message: warning})
  const registration = attempt.job ? null : await findRegistration(db, {id: attempt.registration.id})
  return {status: 'success', ...done, registration}
}

/** What an error of the statement means, and what follows from it. */
async function explainAndRecord(trial: Trial, error: unknown, durationMs: number): Promise<RefreshResult> {
  const {db, attempt, watch, caller} = trial
  const {signal} = caller
  if (error instanceof OutdatedSnapshot) {
    const tries = trial.outdatedTries + 1
    if (!signal.aborted && tries < MOST_OUTDATED_TRIES) return {status: 'outdated'}
    const reason = signal.aborted ? signal.reason : alwaysOutdated(attempt.registration, tries)
    return recordFailed(trial, {reason, durationMs})
  }
  if (isAybError(error, 'CONNECTION_LOST')) {
    return recordFailed(trial, {reason: signal.aborted ? signal.reason : error, durationMs})
  }
  if (error instanceof RecordBlocked) {
    return recordFailed(trial, {reason: await explainBlockedRecord(db, attempt, error), durationMs})
  }
  const timeoutMs = attempt.settings.lockTimeoutMs
  const isLockTimeout = hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE) && !signal.aborted
  if (isLockTimeout && timeoutMs !== null && durationMs >= timeoutMs) {
    const wait = await findWait(db, attempt.registration, watch, durationMs - timeoutMs)
    return endBlocked(trial, {wait, durationMs, timeoutMs})
  }
  const reason = await explainFailure(db, attempt, error, {elapsedMs: durationMs, signal})
  return recordFailed(trial, {reason, durationMs})
}

/** A try that waited in vain: where it waited for the view itself, it is made again, as long as the patience lasts. */
function endBlocked(
  trial: Trial,
  {wait, durationMs, timeoutMs}: {wait: LockWait | null; durationMs: number; timeoutMs: number},
): Promise<RefreshResult> | BlockedRefresh {
  const {attempt, lockTry} = trial
  const past = withTry(lockTry.past, durationMs)
  const ending = wait?.isOfView ? {...trial, attempt: {...attempt, lockWaitMs: past.waitMs}} : trial
  const giveUp = (reason: unknown) => recordFailed(ending, {reason, durationMs})
  const pauseMs = wait?.isOfView ? pauseAfterTry(lockTry, durationMs) : null
  if (wait && pauseMs !== null) return {status: 'blocked', wait, pauseMs, past, giveUp}
  // A wait for another lock is one wait, however often the view was waited for before.
  const tries = wait && !wait.isOfView ? 1 : past.tries
  return giveUp(lockTimeout(attempt.registration, {timeoutMs, tries, elapsedMs: past.elapsedMs, wait}))
}

async function explainBlockedRecord(db: Database, {registration}: Attempt, {waitedMs}: RecordBlocked) {
  const found = await findTableBlockers(db)
  return recordTimeout(registration, waitedMs, found?.table ?? '_ayb_jobs', found?.blockers ?? [])
}

/** Records why an attempt failed. A refresh that turns out to be committed is a success: only its answer was lost. */
async function recordFailed(
  {db, attempt, lock, caller, emit}: Trial,
  {reason, durationMs}: {reason: unknown; durationMs: number},
): Promise<RefreshResult> {
  const transition = caller.transitionAfter(reason)
  const failure: Failure = {
    status: isAybError(reason, 'CANCELED') ? 'canceled' : 'error',
    message: messageOf(reason),
    durationMs,
    transition,
  }
  const end = await recordEnd(
    db,
    {attempt, lock, failure},
    {
      reconnect: caller.reconnect,
      patienceMs: caller.recordPatienceMs,
      signal: caller.signal,
      onFailure: (error) =>
        emit({type: 'unrecorded', message: unrecorded(attempt, error), reason, durationMs}),
    },
  )
  for (const message of end.warnings) emit({type: 'warning', message})
  if (end.as === 'committed') return {status: 'success', ...end.refresh, next: null}
  const isRecorded = end.as === 'failure'
  const {isSettled, isCalledOff} = isRecorded ? end : {isSettled: false, isCalledOff: false}
  return {status: 'failed', reason, durationMs, transition, isSettled, isCalledOff, isRecorded}
}

const unrecorded = ({registration}: Attempt, error: unknown): string =>
  `how the refresh of ${qualifiedName(registration)} ended could not be recorded: ${messageOf(error)}`
