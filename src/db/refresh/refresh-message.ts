import {allDone} from '../../lib/all-done.ts'
import {quoteViewName} from '../../lib/identifier.ts'
import type {Database} from '../database.ts'
import {noteSeenSql} from '../fingerprint/note.ts'
import type {ClaimRequest} from '../queue/claims.ts'
import {SAFE_SEARCH_PATH} from '../session/settings.ts'
import {StatementError} from '../sqlstate.ts'
import {writableIdentity} from '../states/identity.ts'
import type {Attempt} from './attempt.ts'
import {snapshotGuard} from './base-relations.ts'
import {resetSql, settingSql} from './postgres-settings.ts'
import {successRecord} from './success-record.ts'

/** What a statement of a refresh is for. */
type Step = 'setting' | 'option' | 'guard' | 'refresh' | 'record' | 'seen'

/** These write to ayb's own tables. */
export const RECORDING: ReadonlySet<Step> = new Set<Step>(['record', 'seen'])

export interface StepStatement {
  step: Step
  sql: string
}

/** The statements of a refresh, in their order: what REFRESH needs, REFRESH itself, and the record. */
export async function refreshMessage(
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
  const [guard] = await allDone([snapshotGuard(db, attempt.registration), writableIdentity(db)])
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

/** The step of a message that an error belongs to; null where that is not known. */
export const failedStep = (error: unknown, message: readonly StepStatement[]): Step | null =>
  error instanceof StatementError ? (message[error.statementsDone ?? -1]?.step ?? null) : null

/**
 * How long the record of a refresh may wait for a lock on ayb's tables. Readers wait for the end of a
 * standard refresh, but not of a concurrent one. Undoing a refresh of an hour costs more than five seconds of
 * waiting.
 */
export const recordLockTimeoutMs = ({mode}: Attempt): number => (mode === 'concurrent' ? 30_000 : 5000)

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
