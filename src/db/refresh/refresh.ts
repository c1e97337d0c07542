import {lockName} from '../../lib/identifier.ts'
import type {Database} from '../database.ts'
import {notHeld, type RefreshLock, releaseAllRefreshLocks} from '../locks/refresh-lock.ts'
import type {LockedRow} from '../queue/claim-sql.ts'
import {type ClaimRequest, type LockedJob, toLockedJob} from '../queue/claims.ts'
import type {Session} from '../session.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {haveRightsChanged} from '../states/identity.ts'
import {noteRemembered} from '../states/remembered-oids.ts'
import type {Attempt} from './attempt.ts'
import {type RecordedRefresh, type SuccessRow, toRecorded} from './committed.ts'
import {isSettingRefused, noteRefusals} from './postgres-settings.ts'
import {
  failedStep,
  RECORDING,
  recordLockTimeoutMs,
  refreshMessage,
  type StepStatement,
} from './refresh-message.ts'
import {OutdatedSnapshot, RecordBlocked, RightsChanged, SettingsRefused} from './retryable.ts'
import {forgetShape} from './view-shapes.ts'

/** A refresh that a claim may have followed. */
export interface RefreshAndClaim extends RecordedRefresh {
  /** The job that was claimed in the same transaction. */
  next: LockedJob | null
}

/**
 * REFRESH and its record: one message, so that no crash comes between them. The lock ends with the transaction
 * of the message, whatever becomes of this process. With a claim, the record also claims the next job: of
 * near-empty views a claim of its own, committed for itself, would take longer than the refresh.
 * @throws OutdatedSnapshot, RightsChanged, SettingsRefused, RecordBlocked, StatementError, or AybError
 * CONNECTION_LOST
 */
export async function runRefresh(
  db: Database,
  attempt: Attempt,
  lock: RefreshLock,
  claim: ClaimRequest | null = null,
): Promise<RefreshAndClaim> {
  const {session} = db
  const message = await refreshMessage(db, attempt, lock, claim)
  const {timeoutMs, postgres} = attempt.settings
  // Without a timeout, a refresh may take any time.
  const deadlineMs = timeoutMs === null ? null : timeoutMs + ANSWER_PATIENCE_MS
  const [outcome] = await Promise.allSettled([send(session, message, lock, {deadlineMs})])
  if (outcome.status === 'rejected') {
    const step = failedStep(outcome.reason, message)
    if (step === 'lock' && hasSqlstate(outcome.reason, SQLSTATE.DIVISION_BY_ZERO)) {
      session.destroy()
      throw notHeld(lockName(attempt.registration))
    }
    if (claim || step === 'lock') await releaseAll(session)
    if (step && RECORDING.has(step) && hasSqlstate(outcome.reason, ...TABLE_REFUSED)) {
      if ((await haveRightsChanged(db)) || (await hasLostTable(db, outcome.reason))) throw new RightsChanged()
    }
    if (step === 'option' && isSettingRefused(outcome.reason)) {
      await noteRefusals(session, postgres, outcome.reason)
      throw new SettingsRefused()
    }
    const error = explainStep(outcome.reason, message, attempt)
    if (error instanceof OutdatedSnapshot) forgetShape(db, attempt.registration)
    throw error
  }
  const position = message.findIndex(({step}) => step === 'record')
  const row = outcome.value[position]?.[0] as SuccessRow & (LockedRow | {job_id: null})
  if (row.remembered_oid) noteRemembered(db, attempt.registration, row.remembered_oid)
  return {
    ...toRecorded(row),
    next: claim && row.job_id ? await toLockedJob(db, row, claim.workerId) : null,
  }
}

/** What a statement fails with whose table is gone or closed to the role. */
const TABLE_REFUSED = [SQLSTATE.INSUFFICIENT_PRIVILEGE, SQLSTATE.UNDEFINED_TABLE]

const hasLostTable = async (db: Database, error: unknown): Promise<boolean> =>
  db.session.isUsable && db.hasLostTable(error)

/**
 * Behind the timeout of a REFRESH: its record may wait for more than one lock, 30 s each, and then there is
 * the network.
 */
const ANSWER_PATIENCE_MS = 70_000

/**
 * Sends the message. A lock that was taken by a transaction ends with the message, perhaps before this process
 * hears of the end.
 */
function send(
  session: Session,
  message: readonly StepStatement[],
  lock: RefreshLock,
  options: {deadlineMs: number | null},
): Promise<object[][]> {
  const statements = message.map(({sql}) => sql)
  if (lock.isOfTransaction) {
    return session.script(statements, {...options, commits: true}).finally(() => lock.release())
  }
  const sent = session.script(statements, options)
  lock.leaveTo(sent)
  return sent
}

/**
 * Releases the locks that a message which failed may have left behind. The claim takes the lock of the next
 * view, which outlives its transaction; and the first statement may have failed before it left the lock of
 * this view to the transaction.
 */
async function releaseAll(session: Session): Promise<void> {
  if (session.isUsable) await releaseAllRefreshLocks(session).catch(() => session.destroy())
}

/** An error by the step that it belongs to: the view's own query can raise each SQLSTATE too. */
function explainStep(error: unknown, message: readonly StepStatement[], attempt: Attempt): unknown {
  const step = failedStep(error, message)
  if (step === 'record' && hasSqlstate(error, SQLSTATE.DIVISION_BY_ZERO)) return new OutdatedSnapshot()
  const isBlocked = step && RECORDING.has(step) && hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)
  return isBlocked ? new RecordBlocked(recordLockTimeoutMs(attempt)) : error
}
