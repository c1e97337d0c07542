import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {findViewHolders, type LockWait} from '../../db/locks/lock-waits.ts'
import type {RefreshLock} from '../../db/locks/refresh-lock.ts'
import {findRowHolders, findTableBlockers, writeStatus} from '../../db/pending-status.ts'
import type {ClaimRequest, LockedJob} from '../../db/queue/claims.ts'
import {
  type Attempt,
  type Failure,
  giveBackUnseen,
  isRecorded,
  type JobEnd,
  recordFailure,
} from '../../db/queue/settle.ts'
import {findOutcome, OutdatedSnapshot, RecordBlocked, runRefresh} from '../../db/refresh.ts'
import {findRegistration} from '../../db/registrations.ts'
import type {Session} from '../../db/session.ts'
import {hasSqlstate, SQLSTATE} from '../../db/sqlstate.ts'
import {rememberView} from '../../db/view-states.ts'
import {isAybError, messageOf} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {alwaysOutdated, lockTimeout, recordTimeout, statusNotWritten} from '../../lib/outcomes.ts'
import type {Registration} from '../../lib/records.ts'
import type {LockWatch, WatchLocks} from './blockers.ts'
import {endingCommitWait} from './commit-watch.ts'
import {explainFailure} from './failure.ts'
import {type LockTry, type PastTries, pauseAfterTry, withTry} from './tries.ts'

/** How an attempt ended. `isSettled` is false where its job was no longer ours: then nothing was recorded. */
export type AttemptOutcome = SuccessfulAttempt | FailedAttempt | OutdatedAttempt | BlockedAttempt

interface SuccessfulAttempt {
  status: 'success'
  /** As it is after the refresh; null where it was unregistered meanwhile, and for a job. */
  registration: Registration | null
  durationMs: number
  isSettled: boolean
  /** The job that was claimed behind it. */
  next: LockedJob | null
}

/** The tables below the view were replaced while its refresh waited for a lock: nothing was done, nor recorded. */
interface OutdatedAttempt {
  status: 'outdated'
}

/** The lock of the view could not be had, and it is too early to give up: nothing was done, nor recorded. */
export interface BlockedAttempt {
  status: 'blocked'
  wait: LockWait
  /** How long to let others pass before the next try. */
  pauseMs: number
  /** The tries so far, this one included. */
  past: PastTries
  /** Records that there will be no other try, and why. */
  giveUp(reason: unknown): Promise<AttemptOutcome>
}

export interface FailedAttempt {
  status: 'failed'
  /** An AybError; anything else is a bug. */
  reason: unknown
  durationMs: number
  jobEnd: JobEnd
  isSettled: boolean
  /** Whether the job was ended instead of queued, since its schedule was disabled or deleted meanwhile. */
  isCalledOff: boolean
  /** False where that could not be written down, as `onUnrecorded` was told. */
  isRecorded: boolean
}

/** Who is behind an attempt. */
export interface AttemptContext {
  /** Aborted with the error to end with: the statement is cancelled on the server. */
  signal: AbortSignal
  /** What becomes of the job when the attempt failed for that reason. */
  jobEndAfter(reason: unknown): JobEnd
  /** What to claim behind a success, in its transaction; null where nothing is to be claimed. */
  claimNext?(): ClaimRequest | null
  /** A new session, after the connection was lost. */
  reconnect(): Promise<Session>
  /** Told each time that how it ended could not be recorded. */
  onUnrecorded(message: string, ending: Ending): void
  /** For how long recording a failure is tried again, on a session that still works, in milliseconds. */
  recordPatienceMs: number
  /** Which try it is, and how long it may wait for a lock. */
  lockTry: LockTry
  watchLocks: WatchLocks
  /** Told each time that the refresh is seen to wait for a lock, and once, with null, when it has gone on. */
  onWait?(wait: LockWait | null): void
  /** How often the attempt was made before and found its snapshot outdated. */
  outdatedTries: number
}

/** A cancel request that arrives before its statement is lost, so it is sent again until the statement ends. */
const CANCEL_AGAIN_MS = 250
/** Postgres looks for a cancel request all the time: without an answer by then, the network is dead. */
const CANCEL_PATIENCE_MS = 5000
/** Somebody may hold a lock on ayb's own tables: a failure is told, recorded or not. */
const RECORD_DEADLINE_MS = 15_000
const RECORD_PAUSE_MS = 1000

/** A load replaces a table now and then; a view whose own query does would never end. */
const MOST_OUTDATED_TRIES = 10

/** Runs the refresh of a session that holds the lock, and records how it ended. Releases the lock. */
export async function runAttempt(
  db: Database,
  attempt: Attempt,
  lock: RefreshLock,
  context: AttemptContext,
): Promise<AttemptOutcome> {
  const sentAt = performance.now()
  const watch = context.watchLocks({
    pid: lock.pid,
    view: attempt.registration,
    limitMs: attempt.lockTimeoutMs,
    onWait: (wait) => context.onWait?.(wait),
  })
  try {
    const done = await endingCommitWait(db, lock.pid, attempt.timeoutMs, () =>
      cancelOnAbort(db.session, context.signal, () =>
        runRefresh(db, attempt, lock, db.session.keepsStatements ? (context.claimNext?.() ?? null) : null),
      ),
    )
    if (!done.isRemembered) await rememberRefreshed(db, attempt)
    if (!done.isStatusPending) return {status: 'success', ...done}
    await settleStatus(db, db.session, attempt)
    const registration = attempt.job ? null : await findRegistration(db, {id: attempt.registration.id})
    return {status: 'success', ...done, registration}
  } catch (error) {
    const durationMs = performance.now() - sentAt
    if (error instanceof OutdatedSnapshot) {
      const tries = context.outdatedTries + 1
      if (!context.signal.aborted && tries < MOST_OUTDATED_TRIES) return {status: 'outdated'}
      const reason = context.signal.aborted
        ? context.signal.reason
        : alwaysOutdated(attempt.registration, tries)
      return settle(db, attempt, lock, {reason, durationMs}, context)
    }
    if (isAybError(error, 'CONNECTION_LOST')) {
      const reason = context.signal.aborted ? context.signal.reason : error
      return settle(db, attempt, lock, {reason, durationMs}, context)
    }
    if (error instanceof RecordBlocked) {
      const reason = await explainBlockedRecord(db, attempt, error)
      return settle(db, attempt, lock, {reason, durationMs}, context)
    }
    const {lockTimeoutMs} = attempt
    const isLockTimeout = hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE) && !context.signal.aborted
    if (isLockTimeout && lockTimeoutMs !== null && durationMs >= lockTimeoutMs) {
      const wait = await findWait(db, attempt, watch, durationMs - lockTimeoutMs)
      return endBlocked(db, attempt, lock, {wait, durationMs, timeoutMs: lockTimeoutMs}, context)
    }
    const reason = await explainFailure(db, attempt, error, {elapsedMs: durationMs, signal: context.signal})
    return settle(db, attempt, lock, {reason, durationMs}, context)
  } finally {
    await watch.stop()
  }
}

/**
 * Runs a statement; when the signal aborts, has the server cancel it and waits for how it ended, but not for ever: then the
 * connection is given up.
 */
export async function cancelOnAbort<T>(
  session: Session,
  signal: AbortSignal,
  run: () => Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let giveUp: NodeJS.Timeout | undefined
  const requested: Promise<void>[] = []
  const cancel = () => {
    requested.push(session.cancel())
    timer = setTimeout(cancel, CANCEL_AGAIN_MS)
  }
  const onAbort = () => {
    giveUp = setTimeout(() => session.destroy(), CANCEL_PATIENCE_MS)
    cancel()
  }
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, {once: true})
  try {
    return await run()
  } finally {
    clearTimeout(timer)
    clearTimeout(giveUp)
    signal.removeEventListener('abort', onAbort)
    // What is still on its way must not hit the next statement.
    await Promise.all(requested)
  }
}

/** REFRESH locks the view before everything else. A timeout that fires later was for another lock. */
const FIRST_LOCK_MARGIN_MS = 1000

/**
 * For which lock a try waited in vain. Where nobody could look meanwhile, whoever holds the view tells, unless the
 * refresh had done something before it waited.
 */
async function findWait(
  {session}: Database,
  {registration}: Attempt,
  watch: LockWatch,
  beforeMs: number,
): Promise<LockWait | null> {
  const {wait, isCertain} = await watch.seen()
  if (isCertain || beforeMs > FIRST_LOCK_MARGIN_MS || !session.isUsable) return wait
  const blockers = await findViewHolders(session, registration).catch(() => [])
  return blockers.length > 0 ? {relation: qualifiedName(registration), isOfView: true, blockers} : null
}

/** A try that waited for a lock in vain: one that waited for the view itself is made again, as long as its patience lasts. */
function endBlocked(
  db: Database,
  attempt: Attempt,
  lock: RefreshLock,
  {wait, durationMs, timeoutMs}: {wait: LockWait | null; durationMs: number; timeoutMs: number},
  context: AttemptContext,
): Promise<AttemptOutcome> | BlockedAttempt {
  const past = withTry(context.lockTry.past, durationMs)
  const settleAs = (reason: unknown) =>
    settle(
      db,
      wait?.isOfView ? {...attempt, lockWaitMs: past.waitMs} : attempt,
      lock,
      {reason, durationMs},
      context,
    )
  const pauseMs = wait?.isOfView ? pauseAfterTry(context.lockTry, durationMs) : null
  if (wait && pauseMs !== null) return {status: 'blocked', wait, pauseMs, past, giveUp: settleAs}
  // What another lock kept from its work is one wait, however often the view was waited for before.
  const tries = wait && !wait.isOfView ? 1 : past.tries
  return settleAs(lockTimeout(attempt.registration, {timeoutMs, tries, elapsedMs: past.elapsedMs, wait}))
}

async function explainBlockedRecord(db: Database, {registration}: Attempt, {waitedMs}: RecordBlocked) {
  const found = await findTableBlockers(db.session, db)
  return recordTimeout(registration, waitedMs, found?.table ?? '_ayb_jobs', found?.blockers ?? [])
}

/**
 * Writes the status of a registration whose row another session held when the attempt was recorded. A row that stays
 * held is a warning: the history has the run.
 */
async function settleStatus(db: Database, session: Session, {registration, runId}: Attempt): Promise<void> {
  try {
    if (await writeStatus(session, db, runId)) return
    db.warnings.push(statusNotWritten(registration, await findRowHolders(session, db)))
  } catch (error) {
    if (!isAybError(error)) throw error
    db.warnings.push(statusNotWritten(registration, []))
  }
}

/** The refresh is committed: what keeps its OID from being written down is left to the next one. */
async function rememberRefreshed(db: Database, {registration}: Attempt): Promise<void> {
  try {
    await rememberView(db, registration)
  } catch (error) {
    if (!isAybError(error)) throw error
  }
}

/** Why and after how long an attempt failed. */
interface Ending {
  reason: unknown
  durationMs: number
}

/**
 * Records how an attempt failed. Where its connection is gone, what it did is not known: a new one makes sure that
 * nothing runs on, and sees whether the refresh was committed after all. What keeps a worker from recording, a full disk
 * or a lock, may pass, so it tries again for a while; anybody tries once more where only the connection failed.
 */
async function settle(
  db: Database,
  attempt: Attempt,
  lock: RefreshLock,
  ending: Ending,
  context: AttemptContext,
): Promise<AttemptOutcome> {
  const startedAt = performance.now()
  let session: Session | null = db.session.isUsable ? db.session : null
  const {deadlineMs} = db.session
  let hasReconnected = false
  try {
    for (;;) {
      try {
        if (!session?.isUsable) {
          const isFirstTry = session === null && !hasReconnected
          hasReconnected = true
          session = await context.reconnect()
          const done = await findOutcome(session, db.session, db, attempt, lock)
          if (done) {
            await giveBackUnseen(session, db, attempt.runId)
            return {status: 'success', ...done, next: null}
          }
          // The answer to an earlier try may have been lost.
          if (!isFirstTry && (await isRecorded(session, db, attempt.runId))) {
            return failed(ending, context, {isSettled: true, isCalledOff: false, isRecorded: true})
          }
        }
        session.deadlineMs = RECORD_DEADLINE_MS
        const failure = toFailure(ending, context)
        const {isSettled, jobState, isStatusPending} = await recordFailure(session, db, attempt, failure)
        if (isStatusPending) await settleStatus(db, session, attempt)
        const isCalledOff = jobState !== null && jobState !== failure.job.state
        return failed(ending, context, {isSettled, isCalledOff, isRecorded: true})
      } catch (error) {
        const elapsedMs = performance.now() - startedAt
        const isPatient = !context.signal.aborted && elapsedMs < context.recordPatienceMs
        const isOnceMore = !hasReconnected && !session?.isUsable && elapsedMs < RECORD_DEADLINE_MS
        if (isOnceMore && !isPatient) continue
        context.onUnrecorded(unrecorded(attempt, error), ending)
        if (!isPatient)
          return failed(ending, context, {isSettled: false, isCalledOff: false, isRecorded: false})
        await sleep(RECORD_PAUSE_MS, undefined, {signal: context.signal}).catch(() => {})
      }
    }
  } finally {
    if (session !== db.session) await session?.close()
    db.session.deadlineMs = deadlineMs
  }
}

const toFailure = ({reason, durationMs}: Ending, context: AttemptContext): Failure => ({
  status: isAybError(reason, 'CANCELED') ? 'canceled' : 'error',
  message: messageOf(reason),
  durationMs,
  job: context.jobEndAfter(reason),
})

const failed = (
  {reason, durationMs}: Ending,
  context: AttemptContext,
  how: Pick<FailedAttempt, 'isSettled' | 'isCalledOff' | 'isRecorded'>,
): FailedAttempt => ({status: 'failed', reason, durationMs, jobEnd: context.jobEndAfter(reason), ...how})

/** What could not be recorded is said, not swallowed. */
const unrecorded = ({registration}: Attempt, error: unknown): string =>
  `how the refresh of ${qualifiedName(registration)} ended could not be recorded: ${messageOf(error)}`
