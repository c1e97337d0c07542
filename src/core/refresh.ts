import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../db/database.ts'
import {
  type Attempt,
  findLockHolder,
  findOutcome,
  newRunId,
  type RecordedRefresh,
  recordFailure,
  runRefresh,
  tryLock,
} from '../db/refresh.ts'
import type {Session} from '../db/session.ts'
import {isAybError, messageOf} from '../lib/errors.ts'
import {qualifiedName, type ViewReference} from '../lib/identifier.ts'
import {refreshInProgress, waitTimeout} from '../lib/outcomes.ts'
import type {Refreshed, RefreshMode, RefreshProgress, Registration, ViewName} from '../lib/records.ts'
import {requireRegistration} from './matviews.ts'
import {BlockerWatch} from './refresh-blockers.ts'
import {explainFailure} from './refresh-failure.ts'

/** How a refresh is to be done. Durations in milliseconds; null means no limit. */
export interface RefreshOptions {
  /** For this once; null means the registration's own. */
  mode: RefreshMode | null
  /** Whether to wait while another session refreshes the view, and for how long. */
  wait: {timeoutMs: number | null} | null
  timeoutMs: number | null
  lockTimeoutMs: number | null
  /** Aborted with the AybError to end with: the statement is cancelled on the server. */
  signal: AbortSignal
  /** Told of what happens, for whoever watches. */
  onProgress?(progress: RefreshProgress): void
}

const FIRST_WAIT_MS = 50
const LONGEST_WAIT_MS = 1000
/** A cancel request that arrives before its statement is lost, so it is sent again until the statement ends. */
const CANCEL_AGAIN_MS = 250

/**
 * Refreshes one registered view: lock, statement, record.
 * @throws AybError NOT_REGISTERED, REFRESH_IN_PROGRESS, TIMEOUT, CANCELED, REFRESH_FAILED and what explainFailure finds
 */
export async function refresh(
  db: Database,
  reference: ViewReference,
  options: RefreshOptions,
): Promise<Refreshed> {
  const registration = await prepare(db, reference, options.signal)
  const startedAt = await takeLock(db, registration, options)
  const attempt: Attempt = {
    runId: newRunId(),
    registration,
    mode: options.mode ?? registration.refreshMode,
    trigger: 'manual',
    jobId: null,
    workerId: null,
    timeoutMs: options.timeoutMs,
    lockTimeoutMs: options.lockTimeoutMs,
    startedAt,
  }
  options.onProgress?.({phase: 'refreshing', registration})
  const {registration: after, durationMs} = await runAttempt(db, attempt, options.signal)
  const warnings = [...db.warnings]
  if (!after) warnings.push(`${qualifiedName(registration)} was unregistered during its refresh`)
  return {registration: after ?? registration, durationMs, warnings}
}

/** Looks the view up and sees to the tables. Both can wait for a lock, and an abort ends that too. */
async function prepare(db: Database, reference: ViewReference, signal: AbortSignal): Promise<Registration> {
  try {
    return await cancelOnAbort(db, signal, async () => {
      const registration = await requireRegistration(db, reference)
      await db.prepareTables()
      return registration
    })
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
}

/** Returns when the lock was taken, by the server's clock. */
async function takeLock(db: Database, registration: Registration, options: RefreshOptions): Promise<string> {
  const {signal, wait} = options
  const deadline = wait?.timeoutMs == null ? Number.POSITIVE_INFINITY : performance.now() + wait.timeoutMs
  for (let pauseMs = FIRST_WAIT_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_WAIT_MS)) {
    signal.throwIfAborted()
    const startedAt = await tryLock(db.session, registration)
    if (startedAt) return startedAt
    const leftMs = deadline - performance.now()
    if (!wait || leftMs <= 0) throw await stillLocked(db, registration, wait?.timeoutMs ?? null)
    options.onProgress?.({phase: 'waiting', registration})
    await pause(Math.min(pauseMs, leftMs), signal)
  }
}

async function stillLocked(db: Database, view: ViewName, waitedMs: number | null) {
  const holder = await findLockHolder(db.session, view)
  return waitedMs === null ? refreshInProgress(view, holder) : waitTimeout(view, waitedMs, holder)
}

async function runAttempt(db: Database, attempt: Attempt, signal: AbortSignal): Promise<RecordedRefresh> {
  const sentAt = performance.now()
  const blockers = attempt.lockTimeoutMs === null ? null : new BlockerWatch(db, attempt.lockTimeoutMs)
  try {
    return await cancelOnAbort(db, signal, () => runRefresh(db, attempt))
  } catch (error) {
    if (isAybError(error, 'CONNECTION_LOST')) return await settleAfterLoss(db, attempt, error, signal)
    const elapsedMs = performance.now() - sentAt
    const reason = await explainFailure(db, attempt, error, {
      elapsedMs,
      signal,
      blockers: async () => (await blockers?.seen()) ?? [],
    })
    await record(db, db.session, attempt, reason)
    throw reason
  } finally {
    await blockers?.stop()
  }
}

/** Runs a statement; when the signal aborts, has the server cancel it and waits for how it ended. */
async function cancelOnAbort<T>(db: Database, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const cancel = () => {
    void db.session.cancel()
    timer = setTimeout(cancel, CANCEL_AGAIN_MS)
  }
  signal.throwIfAborted()
  signal.addEventListener('abort', cancel, {once: true})
  try {
    return await run()
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
  }
}

/**
 * The connection is gone, and what it did is not known: a new one makes sure that nothing runs on, and sees
 * whether the refresh was committed. If not, it records the failure.
 */
async function settleAfterLoss(
  db: Database,
  attempt: Attempt,
  loss: unknown,
  signal: AbortSignal,
): Promise<RecordedRefresh> {
  const reason = signal.aborted ? signal.reason : loss
  let session: Session | undefined
  try {
    session = await db.openSession()
    const outcome = await findOutcome(session, db.session, db, attempt.runId)
    if (outcome) return outcome
    await record(db, session, attempt, reason)
  } catch (error) {
    db.warnings.push(unrecorded(attempt, error))
  } finally {
    await session?.close()
  }
  throw reason
}

async function record(db: Database, session: Session, attempt: Attempt, reason: unknown): Promise<void> {
  try {
    const status = isAybError(reason, 'CANCELED') ? 'canceled' : 'error'
    await recordFailure(session, db, attempt, status, messageOf(reason))
  } catch (error) {
    db.warnings.push(unrecorded(attempt, error))
  }
}

const unrecorded = ({registration}: Attempt, error: unknown): string =>
  `how the refresh of ${qualifiedName(registration)} ended could not be recorded: ${messageOf(error)}`

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, {signal})
  } catch {
    signal.throwIfAborted()
  }
}
