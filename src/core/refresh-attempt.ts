import {setTimeout as sleep} from 'node:timers/promises'
import type {ClaimRequest, LockedJob} from '../db/claims.ts'
import type {Database} from '../db/database.ts'
import {findOutcome, runRefresh} from '../db/refresh.ts'
import type {RefreshLock} from '../db/refresh-lock.ts'
import type {Session} from '../db/session.ts'
import {type Attempt, type Failure, giveBackUnseen, type JobEnd, recordFailure} from '../db/settle.ts'
import {isAybError, messageOf} from '../lib/errors.ts'
import {qualifiedName} from '../lib/identifier.ts'
import type {Registration} from '../lib/records.ts'
import {BlockerWatch} from './refresh-blockers.ts'
import {explainFailure} from './refresh-failure.ts'

/** How an attempt ended. `isSettled` is false where its job was no longer ours: then nothing was recorded. */
export type AttemptOutcome = SuccessfulAttempt | FailedAttempt

interface SuccessfulAttempt {
  status: 'success'
  /** As it is after the refresh; null where it was unregistered meanwhile, and for a job. */
  registration: Registration | null
  durationMs: number
  isSettled: boolean
  /** The job that was claimed behind it. */
  next: LockedJob | null
}

interface FailedAttempt {
  status: 'failed'
  /** An AybError; anything else is a bug. */
  reason: unknown
  durationMs: number
  jobEnd: JobEnd
  isSettled: boolean
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
  onUnrecorded(message: string): void
  /** For how long recording a failure is tried again, on a session that still works, in milliseconds. */
  recordPatienceMs: number
}

/** A cancel request that arrives before its statement is lost, so it is sent again until the statement ends. */
const CANCEL_AGAIN_MS = 250
/** Postgres looks for a cancel request all the time: without an answer by then, the network is dead. */
const CANCEL_PATIENCE_MS = 10_000
/** Somebody may hold a lock on ayb's own tables: a failure is told, recorded or not. */
const RECORD_DEADLINE_MS = 15_000
const RECORD_PAUSE_MS = 1000

/** Runs the refresh of a session that holds the lock, and records how it ended. Releases the lock. */
export async function runAttempt(
  db: Database,
  attempt: Attempt,
  lock: RefreshLock,
  context: AttemptContext,
): Promise<AttemptOutcome> {
  const sentAt = performance.now()
  const blockers =
    attempt.lockTimeoutMs === null ? null : new BlockerWatch(db, lock.pid, attempt.lockTimeoutMs)
  try {
    const done = await cancelOnAbort(db.session, context.signal, () =>
      runRefresh(db, attempt, lock, db.session.keepsStatements ? (context.claimNext?.() ?? null) : null),
    )
    return {status: 'success', ...done}
  } catch (error) {
    const durationMs = performance.now() - sentAt
    if (isAybError(error, 'CONNECTION_LOST')) {
      return settleAfterLoss(db, attempt, lock, error, durationMs, context)
    }
    const reason = await explainFailure(db, attempt, error, {
      elapsedMs: durationMs,
      signal: context.signal,
      blockers: async () => (await blockers?.seen()) ?? [],
    })
    // It failed, and its session ended with that: a view may have let go of the lock.
    if (!db.session.isUsable) return settleAfterLoss(db, attempt, lock, reason, durationMs, context)
    return record(db, db.session, attempt, reason, durationMs, context)
  } finally {
    await blockers?.stop()
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
  let requested = Promise.resolve()
  const cancel = () => {
    requested = session.cancel()
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
    // One that is still on its way must not hit the next statement.
    await requested
  }
}

/**
 * The connection is gone, and what it did is not known: a new one makes sure that nothing runs on, and sees
 * whether the refresh was committed. If not, it records the failure.
 */
async function settleAfterLoss(
  db: Database,
  attempt: Attempt,
  lock: RefreshLock,
  loss: unknown,
  durationMs: number,
  context: AttemptContext,
): Promise<AttemptOutcome> {
  const reason = context.signal.aborted ? context.signal.reason : loss
  let session: Session | undefined
  try {
    session = await context.reconnect()
    const done = await findOutcome(session, db.session, db, attempt, lock)
    if (done) {
      await giveBackUnseen(session, db, attempt.runId)
      return {status: 'success', ...done, next: null}
    }
    return await record(db, session, attempt, reason, durationMs, context)
  } catch (error) {
    return unrecorded(attempt, reason, durationMs, context, error)
  } finally {
    await session?.close()
  }
}

async function record(
  db: Database,
  session: Session,
  attempt: Attempt,
  reason: unknown,
  durationMs: number,
  context: AttemptContext,
): Promise<FailedAttempt> {
  const jobEnd = context.jobEndAfter(reason)
  const failure: Failure = {
    status: isAybError(reason, 'CANCELED') ? 'canceled' : 'error',
    message: messageOf(reason),
    durationMs,
    job: jobEnd,
  }
  const {deadlineMs} = session
  session.deadlineMs = RECORD_DEADLINE_MS
  const givesUpAt = performance.now() + context.recordPatienceMs
  try {
    for (;;) {
      try {
        const isSettled = await recordFailure(session, db, attempt, failure)
        return {status: 'failed', reason, durationMs, jobEnd, isSettled, isRecorded: true}
      } catch (error) {
        const failed = unrecorded(attempt, reason, durationMs, context, error)
        // A full disk may be given room again, a lock be released.
        if (!session.isUsable || context.signal.aborted || performance.now() >= givesUpAt) return failed
        await sleep(RECORD_PAUSE_MS, undefined, {signal: context.signal}).catch(() => {})
      }
    }
  } finally {
    session.deadlineMs = deadlineMs
  }
}

/** What could not be recorded is said, not swallowed. */
function unrecorded(
  {registration}: Attempt,
  reason: unknown,
  durationMs: number,
  context: AttemptContext,
  error: unknown,
): FailedAttempt {
  context.onUnrecorded(
    `how the refresh of ${qualifiedName(registration)} ended could not be recorded: ${messageOf(error)}`,
  )
  const jobEnd = context.jobEndAfter(reason)
  return {status: 'failed', reason, durationMs, jobEnd, isSettled: false, isRecorded: false}
}
