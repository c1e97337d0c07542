import {presentable, withPresentableTexts} from './outside-text.ts'
import type {Advice, Remedy} from './remedies.ts'

/** The code of every error, with its HTTP status and the exit code of the process. */
export const ERRORS = {
  INVALID_ARGUMENT: {status: 400, exitCode: 2},
  INVALID_IDENTIFIER: {status: 400, exitCode: 2},
  VIEW_NOT_FOUND: {status: 404, exitCode: 3},
  NOT_REGISTERED: {status: 404, exitCode: 3},
  SCHEDULE_NOT_FOUND: {status: 404, exitCode: 3},
  JOB_NOT_FOUND: {status: 404, exitCode: 3},
  ALREADY_REGISTERED: {status: 409, exitCode: 4},
  SCHEDULE_EXISTS: {status: 409, exitCode: 4},
  UNIQUE_INDEX_REQUIRED: {status: 409, exitCode: 4},
  NOT_POPULATED: {status: 409, exitCode: 4},
  JOB_STATE_CONFLICT: {status: 409, exitCode: 4},
  UPGRADE_REQUIRED: {status: 409, exitCode: 4},
  UNSUPPORTED_SERVER: {status: 409, exitCode: 4},
  REFRESH_IN_PROGRESS: {status: 409, exitCode: 5},
  CONNECTION_FAILED: {status: 503, exitCode: 6},
  CONNECTION_LOST: {status: 503, exitCode: 6},
  READ_ONLY: {status: 503, exitCode: 6},
  UNTRUSTED_TABLE: {status: 403, exitCode: 7},
  PERMISSION_DENIED: {status: 403, exitCode: 7},
  TIMEOUT: {status: 504, exitCode: 8},
  REFRESH_FAILED: {status: 500, exitCode: 1},
  INTERNAL: {status: 500, exitCode: 1},
  CANCELED: {status: 499, exitCode: 130},
  SERVER_RESOURCES: {status: 503, exitCode: 6},
  TRY_AGAIN: {status: 503, exitCode: 6},
  DATABASE_REFUSED: {status: 422, exitCode: 1},
} as const

export type ErrorCode = keyof typeof ERRORS

/** Facts for programs: `details` in the JSON of an error. */
export interface ErrorDetails {
  sqlstate?: string
  detail?: string | null
  timeoutMs?: number
  blockers?: Blocker[]
  [key: string]: unknown
}

/** A session that blocks another; a field is null where this role may not see it. */
export interface Blocker {
  pid: number
  user: string | null
  applicationName: string | null
  state: string | null
  /** How long its transaction has been open, in milliseconds. */
  transactionAgeMs: number | null
}

interface AybErrorOptions extends Partial<Advice> {
  details?: ErrorDetails | null
  exitCode?: number
  cause?: unknown
}

/** An expected failure. Any other thrown value is a bug. */
export class AybError extends Error implements Advice {
  override readonly name: string = 'AybError'
  readonly code: ErrorCode
  /** What to do about it, in words for every reader. */
  readonly hint: string | null
  /** What else to do about it: the surface that shows the error words this for its readers. */
  readonly remedy: Remedy | null
  readonly details: ErrorDetails | null
  readonly exitCode: number

  constructor(code: ErrorCode, message: string, options: AybErrorOptions = {}) {
    super(presentable(message), {cause: options.cause})
    this.code = code
    this.hint = options.hint ? presentable(options.hint) : null
    this.remedy = options.remedy ?? null
    // A DETAIL of Postgres can quote a connection string.
    this.details = withPresentableTexts(options.details ?? null)
    this.exitCode = options.exitCode ?? ERRORS[code].exitCode
  }

  get status(): number {
    return ERRORS[this.code].status
  }
}

export const isAybError = (error: unknown, code?: ErrorCode): error is AybError =>
  error instanceof AybError && (code === undefined || error.code === code)

/** The message of any thrown value, without passwords and bounded, for logs and records. */
export const messageOf = (error: unknown): string =>
  presentable(error instanceof Error ? error.message : String(error))

export const invalidArgument = (message: string, advice: string | Partial<Advice>): AybError =>
  new AybError('INVALID_ARGUMENT', message, typeof advice === 'string' ? {hint: advice} : advice)

export const invalidIdentifier = (what: string, text: string, advice: Partial<Advice>): AybError =>
  new AybError('INVALID_IDENTIFIER', `${JSON.stringify(text)} is not a valid ${what}`, advice)

/**
 * The error of a change that was cut off, perhaps behind its commit, says that the change may have been made.
 * Returns any other error as it is.
 */
export function mayBeDone(error: unknown): unknown {
  if (!isAybError(error, 'CANCELED') && !isAybError(error, 'CONNECTION_LOST')) return error
  const {code, message, hint, remedy, details, exitCode} = error
  return new AybError(code, `${message}; the change may have been made all the same`, {
    hint: `check whether the change was made before you try again${hint === null ? '' : `; ${hint}`}`,
    remedy,
    details,
    exitCode,
    cause: error,
  })
}
