import {randomUUID} from 'node:crypto'
import {quoteViewName} from '../../lib/identifier.ts'
import type {Database} from '../database.ts'
import {noteSeenSql} from '../fingerprint/note.ts'
import {isoInstant} from '../instant.ts'
import {type RefreshLock, releaseAllRefreshLocks} from '../locks/refresh-lock.ts'
import {untilReleased} from '../locks/seen-lock.ts'
import {endBackends} from '../locks/silent-backends.ts'
import type {LockedRow} from '../queue/claim-sql.ts'
import {type ClaimRequest, type LockedJob, toLockedJob} from '../queue/claims.ts'
import {REGISTRATION, type RegistrationRow, type StoredRegistration} from '../registrations.ts'
import {SAFE_SEARCH_PATH} from '../session/settings.ts'
import type {Session} from '../session.ts'
import {hasSqlstate, SQLSTATE, StatementError} from '../sqlstate.ts'
import {haveRightsChanged, writableIdentity} from '../states/identity.ts'
import {noteRemembered} from '../states/remembered-oids.ts'
import type {Attempt} from './attempt.ts'
import {snapshotGuard} from './base-relations.ts'
import {isSettingRefused, noteRefusals, resetSql, settingSql} from './postgres-settings.ts'
import {successRecord} from './success-record.ts'
import {forgetShape} from './view-shapes.ts'

export interface RecordedRefresh {
  /** The registration after the refresh; null where it was removed meanwhile, and for a job. */
  registration: StoredRegistration | null
  startedAt: string
  durationMs: number
  /** False where the job was no longer ours: the data is fresh, and nothing of it was recorded. */
  isSettled: boolean
  /**
   * Whether the registration still shows the refresh before: another session held its row, or somebody
   * unregistered the view.
   */
  isStatusPending: boolean
}

/** A refresh that a claim may have followed. */
export interface RefreshAndClaim extends RecordedRefresh {
  /** The job that was claimed in the same transaction. */
  next: LockedJob | null
}

/** What the query of the view reads was replaced while REFRESH waited for a lock: nothing was done. */
export class OutdatedSnapshot extends Error {
  override readonly name = 'OutdatedSnapshot'
}

/** An optional table is gone, or closed to the role, since the session asked: nothing was done. */
export class RightsChanged extends Error {
  override readonly name = 'RightsChanged'
}

/** The server refused a setting, which the next attempt leaves out: nothing was done. */
export class SettingsRefused extends Error {
  override readonly name = 'SettingsRefused'
}

/** The refresh had ended, and a lock on ayb's own tables kept it from being recorded: nothing was done. */
export class RecordBlocked extends Error {
  override readonly name = 'RecordBlocked'
  /** How long the record waited, in milliseconds. */
  readonly waitedMs: number

  constructor(waitedMs: number) {
    super('the record of a refresh waited too long for a lock')
    this.waitedMs = waitedMs
  }
}

/** What a statement of a refresh is for. */
type Step = 'setting' | 'option' | 'guard' | 'refresh' | 'record' | 'seen'

/** These write to ayb's own tables. */
const RECORDING: ReadonlySet<Step> = new Set<Step>(['record', 'seen'])

interface StepStatement {
  step: Step
  sql: string
}

/**
 * REFRESH, its record and, right behind them, the unlock. Refresh and record are one message, so that no
 * crash comes between them, and the unlock is sent without waiting for the answer: a client that is stopped
 * meanwhile would keep the lock. With a claim, the record also claims the next job: of near-empty views a
 * claim of its own, committed for itself, would take longer than the refresh.
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
  const message = await refreshMessage(db, attempt, claim)
  const {timeoutMs, postgres} = attempt.settings
  // Without a timeout, a refresh may take any time, and the answer to the unlock comes after it.
  const deadlineMs = timeoutMs === null ? null : timeoutMs + ANSWER_PATIENCE_MS
  const sent = session.together(() => sendWithUnlock(session, message, lock, {deadlineMs}))
  const [outcome] = await Promise.allSettled(sent)
  if (outcome.status === 'rejected') {
    if (claim) await releaseClaimed(session)
    const step = failedStep(outcome.reason, message)
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

/** A lock of a transaction ends with the transaction, perhaps before this process hears of the end. */
function sendWithUnlock(
  session: Session,
  message: readonly StepStatement[],
  lock: RefreshLock,
  options: {deadlineMs: number | null},
) {
  const statements = message.map(({sql}) => sql)
  if (!lock.isOfTransaction) return [session.script(statements, options), lock.release(options)] as const
  const sent = session.script(statements, {...options, commits: true})
  return [sent.finally(() => lock.release())] as const
}

/**
 * The claim takes the lock of the next view, which outlives its transaction. What fails behind that, a cancel
 * request for one, leaves the lock behind, and nobody knows its name.
 */
async function releaseClaimed(session: Session): Promise<void> {
  if (session.isUsable) await releaseAllRefreshLocks(session).catch(() => session.destroy())
}

type SuccessRow = (RegistrationRow | {id: null}) & {
  run_started_at: string
  run_duration_ms: number
  is_settled: boolean
  /** Whether no other session held the row of the registration. */
  is_free: boolean
  /** The OID of the view where the table of states has that OID by now. */
  remembered_oid?: string | null
}

const toRecorded = (row: SuccessRow): RecordedRefresh => ({
  registration: row.id === null ? null : REGISTRATION.toRecord(row as RegistrationRow),
  startedAt: row.run_started_at,
  durationMs: row.run_duration_ms,
  isSettled: row.is_settled,
  isStatusPending: row.is_settled && !row.is_free,
})

/** The step of a message that an error belongs to; null where that is not known. */
const failedStep = (error: unknown, message: readonly StepStatement[]): Step | null =>
  error instanceof StatementError ? (message[error.statementsDone ?? -1]?.step ?? null) : null

/** An error by the step that it belongs to: the view's own query can raise each SQLSTATE too. */
function explainStep(error: unknown, message: readonly StepStatement[], attempt: Attempt): unknown {
  const step = failedStep(error, message)
  if (step === 'record' && hasSqlstate(error, SQLSTATE.DIVISION_BY_ZERO)) return new OutdatedSnapshot()
  const isBlocked = step && RECORDING.has(step) && hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)
  return isBlocked ? new RecordBlocked(recordLockTimeoutMs(attempt)) : error
}

/**
 * How long the record of a refresh may wait for a lock on ayb's tables. Readers wait for the end of a
 * standard refresh, but not of a concurrent one. Undoing a refresh of an hour costs more than five seconds of
 * waiting.
 */
const recordLockTimeoutMs = ({mode}: Attempt): number => (mode === 'concurrent' ? 30_000 : 5000)

/**
 * Of a concurrent refresh, the rows and the record are one transaction that deletes no file. Should the server
 * crash, both are there or neither is, and the job of a schedule is run again while it has attempts left: so a
 * worker need not wait for the disk, nor for a standby. Whoever asks for a refresh of one view relies on the
 * answer.
 */
const commitSql = ({job, mode}: Attempt): string[] =>
  mode === 'concurrent' && job && job.scheduleId !== null && job.attempt < job.maxAttempts
    ? ['set local synchronous_commit = off']
    : []

async function refreshMessage(
  db: Database,
  attempt: Attempt,
  claim: ClaimRequest | null,
): Promise<StepStatement[]> {
  const {session} = db
  const {timeoutMs, lockTimeoutMs, postgres} = attempt.settings
  const limits = [
    ...(timeoutMs === null ? [] : [`set local statement_timeout = ${timeoutMs}`]),
    ...(lockTimeoutMs === null ? [] : [`set local lock_timeout = ${lockTimeoutMs}`]),
  ]
  // Functions in a view may use bare names: until 16 they are found by the role's search_path, from 17 on
  // REFRESH sets a path of its own.
  const rolePath = session.serverVersion < 170_000 ? ['set local search_path = default'] : []
  const concurrently = attempt.mode === 'concurrent' ? 'concurrently ' : ''
  // The record asks for the identity: a new session learns both in one go.
  const [guard] = await Promise.all([snapshotGuard(db, attempt.registration), writableIdentity(db)])
  const as = (step: Step, ...statements: string[]): StepStatement[] => statements.map((sql) => ({step, sql}))
  return [
    ...as('guard', ...guard.before),
    ...as('setting', 'set local jit = default'),
    ...as('option', ...settingSql(session, postgres)),
    ...as('setting', ...limits, ...rolePath, ...commitSql(attempt)),
    ...as('refresh', `refresh materialized view ${concurrently}${quoteViewName(attempt.registration)}`),
    ...as(
      'setting',
      `set local ${SAFE_SEARCH_PATH}`,
      ...(timeoutMs === null ? [] : ['set local statement_timeout = 0']),
      ...resetSql(postgres),
      // The plans of what follows are kept, however small the tables were when they were made.
      'set local enable_seqscan = off',
      'set local jit = off',
      ...(claim ? ['set local enable_hashjoin = off', 'set local enable_mergejoin = off'] : []),
      `set local lock_timeout = ${recordLockTimeoutMs(attempt)}`,
    ),
    ...as('record', await successRecord(db, attempt, {guard, claim})),
    ...(attempt.seen ? as('seen', await noteSeenSql(db, attempt.registration, attempt.seen)) : []),
  ]
}

/**
 * Tells, after the connection of a refresh was lost, whether the refresh was committed; null where it was
 * not. Ends the lost backend first. Behind a pooler that backend may serve somebody else at any moment, and
 * the pooler hangs up on it: so there this waits for the end of its transaction.
 */
export async function findCommitted(
  {session, tables}: Database,
  lost: Pick<Session, 'pid' | 'backendStart'>,
  {runId, registration}: Pick<Attempt, 'runId' | 'registration'>,
  lock: RefreshLock,
): Promise<RecordedRefresh | null> {
  if (lock.isOfTransaction) await untilReleased(session, registration, lock)
  else await endBackends(session, [lost])
  const rows = await session.query<SuccessRow>(
    `select ${REGISTRATION.select('r')}, ${isoInstant('h.started_at')} as run_started_at,
            h.duration_ms as run_duration_ms, true as is_settled,
            true as is_free
       from ${tables.runs} h
       left join ${tables.registrations} r on r.schema_name = h.schema_name and r.view_name = h.view_name
      where h.id = $1 and h.status = 'success'`,
    [runId],
  )
  const row = rows[0]
  return row ? toRecorded(row) : null
}

export const newRunId = (): string => randomUUID()
