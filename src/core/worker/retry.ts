import type {JobTransition} from '../../db/queue/fence.ts'
import {type ErrorCode, isAybError} from '../../lib/errors.ts'

const FIRST_DELAY_MS = 5000
const LONGEST_DELAY_MS = 300_000
const JITTER_MS = 1000

/** Errors that stay until a person changes the view, its index, a grant or the payload. */
const PERMANENT: readonly ErrorCode[] = [
  'INVALID_ARGUMENT',
  'INVALID_IDENTIFIER',
  'VIEW_NOT_FOUND',
  'NOT_REGISTERED',
  'UNIQUE_INDEX_REQUIRED',
  'NOT_POPULATED',
  'PERMISSION_DENIED',
]

/** Milliseconds to wait after a failed attempt: doubling from 5 s to 5 min, plus up to 1 s of jitter. */
export function retryDelayMs(attempt: number, random: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), LONGEST_DELAY_MS) + random * JITTER_MS
}

/**
 * The transition of a job that got no session, or whose session was already dead. This counts as no attempt.
 */
export const WITHOUT_SESSION: JobTransition = {state: 'queued', delayMs: 1000, isAttemptReturned: true}

/** What becomes of a job whose attempt failed for that reason. */
export function transitionAfter(reason: unknown, attempt: number, maxAttempts: number): JobTransition {
  // The worker stops, and another worker may go on at once.
  if (isAybError(reason, 'CANCELED')) return {state: 'queued', delayMs: 0, isAttemptReturned: true}
  if (isAybError(reason) && PERMANENT.includes(reason.code)) return {state: 'failed'}
  if (attempt >= maxAttempts) return {state: 'failed'}
  return {
    state: 'queued',
    delayMs: Math.round(retryDelayMs(attempt, Math.random())),
    isAttemptReturned: false,
  }
}
