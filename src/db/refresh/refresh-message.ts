import {allDone} from '../../lib/all-done.ts'
import {lockName, quoteViewName} from '../../lib/identifier.ts'
import type {Database} from '../database.ts'
import {noteSeenSql} from '../fingerprint/note.ts'
import {leftToTransaction, type RefreshLock} from '../locks/refresh-lock.ts'
import {messageStatement, type Parameter, parameter} from '../message-statement.ts'
import type {ClaimRequest} from '../queue/claims.ts'
import {makeSettings, SAFE_SCHEMAS, settingTo} from '../session/settings.ts'
import type {Session} from '../session.ts'
import {StatementError} from '../sqlstate.ts'
import {writableIdentity} from '../states/identity.ts'
import type {Attempt} from './attempt.ts'
import {type SnapshotGuard, snapshotGuard} from './base-relations.ts'
import {resetSql, settingSql} from './postgres-settings.ts'
import {successRecord} from './success-record.ts'

/** What a statement of a refresh is for. The statement of the lock makes settings, too. */
type Step = 'lock' | 'setting' | 'option' | 'refresh' | 'record' | 'seen'

/** These write to ayb's own tables. */
export const RECORDING: ReadonlySet<Step> = new Set<Step>(['record', 'seen'])

export interface StepStatement {
  step: Step
  sql: string
}

/**
 * The statements of a refresh, in their order: what REFRESH needs, REFRESH itself, and the record. The first
 * statement leaves a lock of the session to the transaction of the message.
 */
export async function refreshMessage(
  db: Database,
  attempt: Attempt,
  lock: RefreshLock,
  claim: ClaimRequest | null,
): Promise<StepStatement[]> {
  const {session} = db
  const {timeoutMs, postgres} = attempt.settings
  // A new session asks for both together, and prepares its statements together.
  const [guard, identity] = await allDone([snapshotGuard(db, attempt.registration), writableIdentity(db)])
  const [forRefresh, forRecord, record, seen] = await allDone([
    settingsOfRefresh(session, guard, attempt, lock),
    settingsOfRecord(session, attempt, claim),
    successRecord(db, attempt, {guard, identity, claim}),
    attempt.seen && noteSeenSql(db, attempt.registration, attempt.seen),
  ])
  const message: StepStatement[] = []
  const add = (step: Step, sql: string) => message.push({step, sql})
  add(lock.isOfTransaction ? 'setting' : 'lock', forRefresh)
  const hasOptions = Object.keys(postgres).length > 0
  if (hasOptions) add('option', settingSql(session, postgres))
  if (timeoutMs !== null) add('setting', `set local statement_timeout = ${timeoutMs}`)
  if (commitsWithoutWaiting(attempt)) add('setting', 'set local synchronous_commit = off')
  // Functions in a view may use bare names: until 16 they are found by the role's search_path, from 17 on
  // REFRESH sets a path of its own. The role's path is set last: a statement behind it may find other
  // functions and types than those of Postgres.
  if (session.serverVersion < 170_000) add('setting', 'set local search_path = default')
  const concurrently = attempt.mode === 'concurrent' ? 'concurrently ' : ''
  add('refresh', `refresh materialized view ${concurrently}${quoteViewName(attempt.registration)}`)
  if (timeoutMs !== null) add('setting', 'set local statement_timeout = 0')
  if (hasOptions) add('setting', resetSql(session, postgres))
  add('setting', forRecord)
  add('record', record)
  if (seen !== null) add('seen', seen)
  return message
}

/** SQL: makes the settings that REFRESH needs, and the setting that its guard compares. */
const settingsOfRefresh = (
  session: Session,
  {kind, before}: SnapshotGuard,
  {registration, settings: {lockTimeoutMs}}: Attempt,
  {isOfTransaction}: RefreshLock,
): Promise<string> => {
  const locks = isOfTransaction ? [] : [parameter(session, 'pg_catalog.text', lockName(registration))]
  const values = [milliseconds(session, lockTimeoutMs ?? 0), ...locks, ...(before?.parameters ?? [])]
  return messageStatement(
    session,
    `settings of a refresh ${kind} ${locks.length}`,
    values,
    ([lockTimeout = '', ...rest]) => {
      const left = rest.slice(0, locks.length).map(leftToTransaction)
      const settings = [settingTo("'jit'", null), settingTo("'lock_timeout'", lockTimeout)]
      if (before) settings.push(before.setting(rest.slice(locks.length)))
      return makeSettings([...left, ...settings])
    },
  )
}

/**
 * SQL: makes the settings that the statements behind REFRESH need. Their plans are kept, however small the
 * tables were when the plans were made. This statement still runs with the search_path of the role until 16,
 * and with the search_path of an event trigger: so it names each function and type with its schema.
 */
const settingsOfRecord = (
  session: Session,
  attempt: Attempt,
  claim: ClaimRequest | null,
): Promise<string> => {
  const off = claim ? OFF_FOR_CLAIM : OFF_FOR_RECORD
  return messageStatement(
    session,
    `settings of a record ${off}`,
    [milliseconds(session, recordLockTimeoutMs(attempt))],
    ([lockTimeout = '']) =>
      makeSettings([
        settingTo("'search_path'", `'${SAFE_SCHEMAS}'`),
        settingTo("'lock_timeout'", lockTimeout),
        ...off.map((name) => settingTo(name, "'off'")),
      ]),
  )
}

/** SQL: the names of settings. */
const OFF_FOR_RECORD = ["'jit'", "'enable_seqscan'"]
const OFF_FOR_CLAIM = [...OFF_FOR_RECORD, "'enable_hashjoin'", "'enable_mergejoin'"]

const milliseconds = (session: Session, ms: number): Parameter =>
  parameter(session, 'pg_catalog.text', `${ms}`)

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
const commitsWithoutWaiting = ({job, mode}: Attempt): boolean =>
  mode === 'concurrent' && job !== null && job.scheduleId !== null && job.attempt < job.maxAttempts
