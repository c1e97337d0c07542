import type {Database} from '../../db/database.ts'
import type {LockWait} from '../../db/locks/lock-waits.ts'
import type {RefreshLock} from '../../db/locks/refresh-lock.ts'
import type {Attempt} from '../../db/refresh/attempt.ts'
import type {Failure} from '../../db/refresh/failure-record.ts'
import {findTableBlockers} from '../../db/refresh/pending-status.ts'
import {OutdatedSnapshot, RecordBlocked, RightsChanged, SettingsRefused} from '../../db/refresh/retryable.ts'
import {hasSqlstate, SQLSTATE} from '../../db/sqlstate.ts'
import {isAybError, messageOf} from '../../lib/errors.ts'
import {alwaysOutdated, lockTimeout, recordTimeout} from '../../lib/failures/refreshes.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {RefreshMode} from '../../lib/records/values.ts'
import type {RefreshEvent} from '../../lib/refresh-events.ts'
import {findWait, type LockWatch} from './blockers.ts'
import type {RefreshCaller} from './caller.ts'
import type {Checked} from './decide.ts'
import {explainFailure} from './failure.ts'
import {recordEnd} from './record.ts'
import type {BlockedRefresh, RefreshResult} from './result.ts'
import type {SecondSession} from './second-session.ts'
import {type LockTry, pauseAfterTry, withTry} from './tries.ts'

/**
 * A load replaces a table now and then. A view whose own query replaces a table would be refreshed for ever.
 */
const MOST_OUTDATED_TRIES = 10

/** An attempt with everything that explaining its failure needs. */
export interface Trial {
  db: Database
  attempt: Attempt
  /** Whether the mode was chosen for the view as it was before the statement. */
  isAuto: boolean
  /** See ChosenMode. */
  modeBehind: RefreshMode | null
  lock: RefreshLock
  lockTry: LockTry
  outdatedTries: number
  second: SecondSession
  watch: LockWatch
  caller: RefreshCaller
  /** What a look for changes said; null where nobody asked for that. */
  checked: Checked | null
  emit(event: RefreshEvent): void
}

/** What an error of the statement means, and what follows from it. */
export async function explainAndRecord(
  trial: Trial,
  error: unknown,
  durationMs: number,
): Promise<RefreshResult> {
  const {db, attempt, watch, caller} = trial
  const {signal} = caller
  // The next attempt does without the table, or without the setting.
  if (error instanceof RightsChanged || error instanceof SettingsRefused) {
    return signal.aborted ? recordFailed(trial, {reason: signal.reason, durationMs}) : {status: 'outdated'}
  }
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
  // The index was dropped, or the view emptied, since the mode was chosen: the next attempt chooses again.
  const isUnfit =
    trial.isAuto && (isAybError(reason, 'UNIQUE_INDEX_REQUIRED') || isAybError(reason, 'NOT_POPULATED'))
  if (isUnfit && trial.outdatedTries + 1 < MOST_OUTDATED_TRIES) return {status: 'outdated'}
  return recordFailed(trial, {reason, durationMs})
}

/**
 * A try that waited in vain: where it waited for the view itself, it is made again, as long as the patience
 * lasts.
 */
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

/**
 * Records why an attempt failed. A refresh that turns out to be committed is a success: only its answer was
 * lost.
 */
async function recordFailed(
  {db, attempt, lock, caller, emit, checked}: Trial,
  {reason, durationMs}: {reason: unknown; durationMs: number},
): Promise<RefreshResult> {
  const transition = caller.transitionAfter(reason)
  const failure: Failure = {
    status: isCancellation(attempt, reason) ? 'canceled' : 'error',
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
  const lockWaitMs = Math.round(attempt.lockWaitMs)
  if (end.as === 'committed') return {status: 'success', ...end.refresh, lockWaitMs, next: null, checked}
  const isRecorded = end.as === 'failure'
  const {isSettled, isCalledOff} = isRecorded ? end : {isSettled: false, isCalledOff: false}
  const times = {
    startedAt: new Date(attempt.startedAt).toISOString(),
    durationMs: Math.round(durationMs),
    lockWaitMs,
  }
  return {status: 'failed', reason, ...times, transition, isSettled, isCalledOff, isRecorded}
}

/**
 * Whether a person ended the refresh, which says nothing of the view. A worker tries a job again that another
 * session canceled, unless that was ayb, which then has ended the job before.
 */
const isCancellation = ({job}: Attempt, reason: unknown): boolean =>
  isAybError(reason, 'CANCELED') ||
  (job === null &&
    isAybError(reason, 'REFRESH_FAILED') &&
    hasSqlstate(reason.cause) &&
    reason.cause.isCancelRequest)

const unrecorded = ({registration}: Attempt, error: unknown): string =>
  `how the refresh of ${qualifiedName(registration)} ended could not be recorded: ${messageOf(error)}`
