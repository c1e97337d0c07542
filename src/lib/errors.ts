import {presentable, withPresentableTexts} from './outside-text.ts'
import type {Advice, Remedy} from './remedies.ts'

/** Every error a person or a script can meet: its HTTP status and the exit code of the process. */
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

/** What a program can use of an error, as `details` in its JSON. */
export interface ErrorDetails {
  sqlstate?: string
  detail?: string | null
  timeoutMs?: number
  blockers?: Blocker[]
  [key: string]: unknown
}

/** A session in the way; null where this role may not see it. */
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

/** An expected outcome that is not success. Anything else that is thrown is a bug. */
export class AybError extends Error implements Advice {
  override readonly name: string = 'AybError'
  readonly code: ErrorCode
  /** What helps, in words for every reader. */
  readonly hint: string | null
  /** What helps besides, which the surface that shows the error words for its readers. */
  readonly remedy: Remedy | null
  readonly details: ErrorDetails | null
  readonly exitCode: number

  constructor(code: ErrorCode, message: string, options: AybErrorOptions = {}) {
    super(presentable(message), {cause: options.cause})
    this.code = code
    this.hint = options.hint ? presentable(options.hint) : null
    this.remedy = options.remedy ?? null
    // What Postgres quotes in a DETAIL can be a connection string.
    this.details = withPresentableTexts(options.details ?? null)
    this.exitCode = options.exitCode ?? ERRORS[code].exitCode
  }

  get status(): number {
    return ERRORS[this.code].status
  }
}

export const isAybError = (error: unknown, code?: ErrorCode): error is AybError =>
  error instanceof AybError && (code === undefined || error.code === code)

/** What an error says, as it may be told and recorded, whoever worded it. */
export const messageOf = (error: unknown): string =>
  presentable(error instanceof Error ? error.message : String(error))

export const invalidArgument = (message: string, advice: string | Partial<Advice>): AybError =>
  new AybError('INVALID_ARGUMENT', message, typeof advice === 'string' ? {hint: advice} : advice)

export const invalidIdentifier = (what: string, text: string, advice: Partial<Advice>): AybError =>
  new AybError('INVALID_IDENTIFIER', `${JSON.stringify(text)} is not a valid ${what}`, advice)

/** Of a change whose commit may have been cut off, the error as it is to be told; any other error as it is. */
export function mayBeDone(error: unknown): unknown {
  if (!isAybError(error, 'CANCELED') && !isAybError(error, 'CONNECTION_LOST')) return error
  const {code, message, hint, remedy, details, exitCode} = error
  return new AybError(code, `${message}; what it was to change may have been changed`, {
    hint: `look whether it was, before you try again${hint === null ? '' : `; ${hint}`}`,
    remedy,
    details,
    exitCode,
    cause: error,
  })
}
