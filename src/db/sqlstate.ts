import type {DatabaseError} from 'pg'
import {AybError, type ErrorCode, isAybError, messageOf} from '../lib/errors.ts'
import {type ConnectionTarget, where} from './connection/connection-target.ts'
import {meaningOf} from './sqlstate-meanings.ts'

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
  INVALID_PARAMETER_VALUE: '22023',
  INVALID_NAME: '42602',
  UNDEFINED_OBJECT: '42704',
  CANT_CHANGE_PARAMETER: '55P02',
} as const

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

  /** Whether another session had the server cancel the statement; a RAISE can have the same SQLSTATE. */
  get isCancelRequest(): boolean {
    return (
      this.sqlstate === SQLSTATE.QUERY_CANCELED &&
      (this.cause as DatabaseError).routine === 'ProcessInterrupts'
    )
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
 * The SQLSTATEs that end a session: operator intervention but a canceled query, and the timeouts of idle
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
