import type {RefreshMode} from '../../lib/records/values.ts'

/** The requested limits for waiting for locks, in milliseconds; null where nobody asked. */
export interface LockSettings {
  /** How long to wait for a lock; 0 waits as Postgres does, for ever. */
  lockTimeoutMs: number | null
  /** For how long to try again; 0 never tries again. */
  lockRetryForMs: number | null
}

/**
 * How a refresh waits for the lock of its view. `tryMs` is how long each try may wait; null means tries that
 * grow. A refresh that waits as Postgres does has no policy (null).
 */
export type LockPolicy = {tryMs: number | null; retryForMs: number} | null

/** The tries that a refresh has behind it. */
export interface PastTries {
  tries: number
  /** Since the first try began, pauses included. */
  elapsedMs: number
  /** How long the tries waited, without the pauses. */
  waitMs: number
}

/** One try of a refresh. */
export interface LockTry {
  policy: LockPolicy
  past: PastTries
  /** How long this try may wait for a lock; null for ever. */
  limitMs: number | null
}

/** What decides how long a try may be. */
interface Circumstances {
  /** Of the server. */
  deadlockTimeoutMs: number
  /**
   * How long the transaction has run that has held a lock on the view for longest; null where that is not
   * known.
   */
  oldestBlockerMs: number | null
}

export const NO_TRIES: PastTries = {tries: 0, elapsedMs: 0, waitMs: 0}

/**
 * Tries of 2 s each never get through beside 20 readers of 2 to 5 s (0 of 16 tries), and make readers wait
 * for 46 s in all. Growing tries get through, and make readers wait for 10 s.
 */
const TRIES_MS = [2000, 2000, 4000, 8000, 16_000, 30_000]
const DEFAULT_RETRY_FOR_MS = 600_000
/**
 * Postgres cancels an autovacuum only for a session that has waited for deadlock_timeout. A shorter try would
 * never get the lock while an autovacuum holds it.
 */
const BEHIND_DEADLOCK_TIMEOUT_MS = 1000

/**
 * How a refresh waits. In concurrent mode no reader queues behind the refresh, so that it waits as Postgres
 * does.
 */
export function lockPolicy({lockTimeoutMs, lockRetryForMs}: LockSettings, mode: RefreshMode): LockPolicy {
  if (lockTimeoutMs === 0) return null
  if (lockTimeoutMs !== null) return {tryMs: lockTimeoutMs, retryForMs: lockRetryForMs ?? 0}
  if (mode === 'concurrent') return null
  return {tryMs: null, retryForMs: lockRetryForMs ?? DEFAULT_RETRY_FOR_MS}
}

/** How long the next try may wait for a lock, in milliseconds; null for ever. */
export function tryLimitMs(policy: LockPolicy, past: PastTries, seen: Circumstances): number | null {
  if (policy === null) return null
  if (policy.tryMs !== null) return policy.tryMs
  const usualMs = TRIES_MS[Math.min(past.tries, TRIES_MS.length - 1)] as number
  const oldestMs = seen.oldestBlockerMs ?? Number.POSITIVE_INFINITY
  const leftMs = policy.retryForMs - past.elapsedMs
  const leastMs = seen.deadlockTimeoutMs + BEHIND_DEADLOCK_TIMEOUT_MS
  return Math.ceil(Math.max(leastMs, Math.min(usualMs, oldestMs, leftMs)))
}

/**
 * The pause after a try that did not get the lock, as long as the try; null where the time to retry is over.
 */
export function pauseAfterTry({policy, past, limitMs}: LockTry, waitedMs: number): number | null {
  if (policy === null || limitMs === null) return null
  return past.elapsedMs + waitedMs + limitMs < policy.retryForMs ? limitMs : null
}

/** The tries with one more, which waited in vain. */
export const withTry = ({tries, elapsedMs, waitMs}: PastTries, waitedMs: number): PastTries => ({
  tries: tries + 1,
  elapsedMs: elapsedMs + waitedMs,
  waitMs: waitMs + waitedMs,
})
