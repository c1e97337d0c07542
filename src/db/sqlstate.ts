import type {DatabaseError} from 'pg'
import {AybError, type ErrorCode, isAybError, messageOf} from '../lib/errors.ts'
import type {Advice} from '../lib/remedies.ts'
import {type ConnectionTarget, where} from './connection/connection-target.ts'

/** The SQLSTATEs that ayb acts on. */
export const SQLSTATE = {
  FEATURE_NOT_SUPPORTED: '0A000',
  UNIQUE_VIOLATION: '23505',
  READ_ONLY_TRANSACTION: '25006',
  DIVISION_BY_ZERO: '22012',
  CHECK_VIOLATION: '23514',
  INVALID_SCHEMA_NAME: '3F000',
  INSUFFICIENT_PRIVILEGE: '42501',
  DUPLICATE_OBJECT: '42710',
  WRONG_OBJECT_TYPE: '42809',
  UNDEFINED_COLUMN: '42703',
  UNDEFINED_TABLE: '42P01',
  DUPLICATE_TABLE: '42P07',
  OBJECT_NOT_IN_PREREQUISITE_STATE: '55000',
  PROGRAM_LIMIT_EXCEEDED: '54000',
  LOCK_NOT_AVAILABLE: '55P03',
  QUERY_CANCELED: '57014',
  CHARACTER_NOT_IN_REPERTOIRE: '22021',
  UNTRANSLATABLE_CHARACTER: '22P05',
} as const

/** What an error means by itself, outside a refresh, and what to do about it. */
interface Meaning extends Partial<Advice> {
  code: ErrorCode
}

const BUG: Meaning = {code: 'INTERNAL', remedy: {kind: 'report-bug'}}
const REFUSED: Meaning = {
  code: 'DATABASE_REFUSED',
  hint: 'a rule of this database refused the statement, such as an event trigger, a constraint or an extension: ask the owner of the database',
}
const UNENCODABLE: Meaning = {
  code: 'DATABASE_REFUSED',
  hint: 'the encoding of this database cannot hold a character of the text: leave that character out, or use a database in UTF8',
}
const BEYOND_LIMIT: Meaning = {
  code: 'DATABASE_REFUSED',
  hint: 'the value exceeds a limit of Postgres: make it smaller',
}
const UNDER_CHANGE: Meaning = {
  code: 'TRY_AGAIN',
  hint: 'another session, or on a standby a change of its primary, got in the way: try again',
}
const INTERRUPTED: Meaning = {
  code: 'TRY_AGAIN',
  hint: 'somebody, or a limit of the server, cancelled the statement: try again',
}
const FAULT: Meaning = {
  code: 'SERVER_RESOURCES',
  hint: 'the server has a problem: check its log, then try again',
}

/**
 * By SQLSTATE or by its first two characters, its class: all classes of Appendix A of the manual. The SQL of
 * ayb is known to work, and its tables run nobody's code. So a class that only such SQL can cause is a bug; a
 * class that data, rules or functions of the database can cause is the decision of the database. A SQLSTATE
 * that is not in Appendix A comes from an extension or a RAISE.
 */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  // Success and warnings, which RAISE alone makes errors of.
  '00': REFUSED,
  '01': REFUSED,
  '02': REFUSED,
  // The statement is not right.
  '03': BUG,
  // Another server is away, which a function asked. The session's own connection is not meant: isFatal.
  '08': REFUSED,
  '08P01': BUG,
  // A trigger failed.
  '09': REFUSED,
  '0A': BUG,
  '0B': BUG,
  '0F': BUG,
  '0L': BUG,
  '0P': BUG,
  // Only functions and queries of others have these: handlers of errors, XQuery, CASE of PL/pgSQL.
  '0Z': REFUSED,
  '10': REFUSED,
  '20': REFUSED,
  '21': BUG,
  // Data: what comes from outside is checked before it is sent.
  '22': BUG,
  '22021': UNENCODABLE,
  '22P05': UNENCODABLE,
  // A constraint that is not ours: what can run into ours is told apart where that happens.
  '23': REFUSED,
  '24': BUG,
  '25': BUG,
  '25006': {code: 'READ_ONLY', hint: 'connect to a server, and as a role, that may write'},
  '26': BUG,
  // Triggers, and roles that a function logs in as elsewhere.
  '27': REFUSED,
  '28': REFUSED,
  '2B': BUG,
  // Functions and procedures.
  '2D': REFUSED,
  '2F': REFUSED,
  '34': BUG,
  '38': REFUSED,
  '39': REFUSED,
  '3B': BUG,
  '3D': BUG,
  '3F': BUG,
  // Deadlocks, serialization, and what recovery cancels on a standby.
  '40': UNDER_CHANGE,
  '42': BUG,
  '42501': {
    code: 'PERMISSION_DENIED',
    hint: "ask the owner of ayb's tables for: GRANT SELECT, INSERT, UPDATE, DELETE ON the tables whose names begin with _ayb_",
  },
  '44': REFUSED,
  '53': FAULT,
  '53100': {code: 'SERVER_RESOURCES', hint: 'make room on the disk of the server, then try again'},
  '53200': {code: 'SERVER_RESOURCES', hint: 'the server is out of memory: try again when it has less to do'},
  '53300': {
    code: 'SERVER_RESOURCES',
    hint: 'end idle sessions, raise max_connections, or connect through a pooler',
  },
  '53400': {code: 'SERVER_RESOURCES', hint: 'raise the limit of the server that the message names'},
  '54': BEYOND_LIMIT,
  // The state that something of the database is in.
  '55': REFUSED,
  '55P03': UNDER_CHANGE,
  '57': INTERRUPTED,
  '58': FAULT,
  // "Snapshot too old", until 16.
  '72': UNDER_CHANGE,
  F0: FAULT,
  // Foreign data.
  HV: REFUSED,
  P0: REFUSED,
  // Damaged data, and faults of Postgres and of extensions.
  XX: FAULT,
}

/** What a SQLSTATE means by itself, outside a refresh. */
export const meaningOf = (sqlstate: string): Meaning =>
  MEANINGS[sqlstate] ?? MEANINGS[sqlstate.slice(0, 2)] ?? REFUSED

const wordsOf = ({message, detail, code = ''}: DatabaseError): string =>
  `${message}${detail ? ` (${detail})` : ''} (SQLSTATE ${code})`

function messageFor(code: ErrorCode, error: DatabaseError): string {
  switch (code) {
    case 'PERMISSION_DENIED':
    case 'READ_ONLY':
      return error.message
    case 'DATABASE_REFUSED':
      return `the database refused: ${wordsOf(error)}`
    default:
      return wordsOf(error)
  }
}

/**
 * An error that Postgres answered to a statement. Its code is what the SQLSTATE means by itself; a caller
 * that knows what the statement was for says it better.
 */
export class StatementError extends AybError {
  override readonly name: string = 'StatementError'
  readonly sqlstate: string
  /** Postgres's own DETAIL and HINT. */
  readonly detail: string | null
  readonly serverHint: string | null
  /** Whether it came up inside something that the statement ran, such as the function of an event trigger. */
  readonly hasContext: boolean
  /**
   * Of a script: how many of its statements had ended before this one failed; null where that is not known.
   */
  statementsDone: number | null = null

  constructor(error: DatabaseError) {
    const sqlstate = error.code ?? ''
    const {code, hint = null, remedy = null} = meaningOf(sqlstate)
    super(code, messageFor(code, error), {
      // Postgres also advises the author of a statement, and no reader of the message is one.
      hint: code === 'INTERNAL' ? hint : (error.hint ?? hint),
      remedy,
      details: error.detail === undefined ? {sqlstate} : {sqlstate, detail: error.detail},
      cause: error,
    })
    this.sqlstate = sqlstate
    this.detail = error.detail ?? null
    this.serverHint = error.hint ?? null
    this.hasContext = error.where !== undefined
  }

  /** The message as Postgres wrote it. */
  get serverMessage(): string {
    return (this.cause as DatabaseError).message
  }

  /** All that Postgres said of the cause: message, DETAIL and SQLSTATE. */
  get words(): string {
    return wordsOf(this.cause as DatabaseError)
  }
}

/** Whether Postgres answered with this error, and with one of these SQLSTATEs if any are named. */
export const hasSqlstate = (error: unknown, ...states: string[]): error is StatementError =>
  error instanceof StatementError && (states.length === 0 || states.includes(error.sqlstate))

/**
 * The SQLSTATE where the server lacks room on a disk, in memory or for connections, or its disk fails; else
 * null.
 */
export const resourceState = (error: unknown): string | null =>
  error instanceof StatementError && /^5[38]/.test(error.sqlstate) ? error.sqlstate : null

/**
 * The SQLSTATEs that end a session: operator intervention but a cancelled query, and the timeouts of idle
 * sessions and whole transactions. By code: the severity that says so is translated by the server. Not class
 * 08: a view over a foreign table raises it when the other server is away.
 */
const FATAL = /^(57P0[1-5]|25P0[34])$/

/**
 * Whether that is an error which the server sent, told by its fields: to ask for its class would load the
 * driver.
 */
const isAnswer = (error: unknown): error is DatabaseError =>
  error instanceof Error && 'severity' in error && 'routine' in error

/**
 * With this class a pooler hangs up; what a server has to say of connections names the routine that found it.
 */
const isOfPooler = ({code, routine}: DatabaseError): boolean =>
  code?.startsWith('08') === true && routine === undefined

/**
 * A session that was let in, and then heard nothing for so long: a pooler does that whose connections are all
 * taken.
 */
export class NoAnswer extends Error {
  constructor(ms: number) {
    super(`no answer after ${ms < 10_000 ? ms / 1000 : Math.round(ms / 1000)} s`)
  }
}

/** Whether the session ended with this error. */
export function isFatal(error: unknown): boolean {
  if (isAybError(error)) return false
  return isAnswer(error) ? FATAL.test(error.code ?? '') || isOfPooler(error) : true
}

/**
 * Whether a statement that the server kept cannot be run any more: it was forgotten, or a table changed so
 * that its columns are of other types. The same SQLSTATE can come from a view's own query; the routine that
 * raised it cannot.
 */
export const isStatementOutdated = (error: unknown): boolean =>
  isAnswer(error) &&
  (error.code === '26000' || (error.code === '0A000' && error.routine === 'RevalidateCachedQuery'))

/** Turns what the driver threw into an AybError: a StatementError where the session is still alive. */
export function translateError(error: unknown, target: ConnectionTarget): AybError {
  if (isAybError(error)) return error
  if (isAnswer(error) && !isFatal(error)) return new StatementError(error)
  return connectionLost(target, error)
}

export function connectionLost(target: ConnectionTarget, cause?: unknown): AybError {
  const reason = cause === undefined ? '' : `: ${messageOf(cause)}`
  const sqlstate = isAnswer(cause) ? cause.code : undefined
  const isPoolers = cause instanceof NoAnswer || (isAnswer(cause) && isOfPooler(cause))
  return new AybError(
    'CONNECTION_LOST',
    `lost the connection to database "${target.database}" at ${where(target)} as user "${target.user}"${reason}`,
    {
      hint: isPoolers
        ? 'check that the server is running and, where a pooler is in between, that its pool has a connection to spare, then try again'
        : 'check that the server is running, then try again',
      details: sqlstate ? {sqlstate} : null,
      cause,
    },
  )
}

export function unsupportedServer(version: number): AybError {
  const shown = `${Math.floor(version / 10_000)}.${version % 10_000}`
  return new AybError('UNSUPPORTED_SERVER', `the server is PostgreSQL ${shown}, and ayb needs 14 or newer`, {
    hint: 'upgrade the server',
  })
}
