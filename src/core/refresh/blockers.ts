import type {Database} from '../../db/database.ts'
import {
  findLockWaits,
  findViewHolders,
  type LockWait,
  type WatchedRefresh,
} from '../../db/locks/lock-waits.ts'
import type {Session} from '../../db/session.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Pace, SecondSession} from './second-session.ts'
import {type LockPolicy, type LockTry, type PastTries, tryLimitMs} from './tries.ts'

/** A try of a refresh whose locks are to be watched. */
export interface WatchRequest extends WatchedRefresh {
  /** The session on which the refresh runs. */
  session: Session
  /** How long the try may wait; null for ever. */
  limitMs: number | null
  /** Told each time that the refresh is seen to wait, and once, with null, when it has gone on. */
  onWait(wait: LockWait | null): void
  /** Looks further from the session of a look. Never rejects. */
  lookFurther?: ((session: Session, isWaiting: boolean) => Promise<void>) | undefined
}

/** Watches for which lock a refresh waits: once its lock timeout has fired, Postgres no longer knows. */
export interface LockWatch {
  /** Stops, and returns the wait that was seen at the end. */
  seen(): Promise<LockWatchResult>
  stop(): Promise<void>
}

interface LockWatchResult {
  /** Null where no wait was seen. */
  wait: LockWait | null
  /** Whether that is certain: there were enough looks. */
  isCertain: boolean
}

export type WatchLocks = (request: WatchRequest) => LockWatch

const SHORTEST_INTERVAL_MS = 20
const LONGEST_INTERVAL_MS = 1000
/** Behind a pooler, where each look takes a connection of its own, and nothing depends on it. */
const UNHURRIED_INTERVAL_MS = 5000
const SHORT_LIMIT_MS = 2000
const SHORT_LIMIT_FIRST_LOOK_MS = 100
/** A short time, since a refresh that has failed waits for the end of the last look. */
const LAST_LOOK_MS = 2000
/** A refresh that is over by then is not looked at. */
const FIRST_LOOK_MS = 1000
/**
 * A timeout may just have fired, and its answer be on its way: only the second look without a wait counts.
 */
const MISSES = 2

/** When to look: about eight times within the limit, and not before the refresh has had a while. */
export function lookRhythm(limitMs: number | null): Pace {
  if (limitMs === null) return {firstMs: FIRST_LOOK_MS, intervalMs: LONGEST_INTERVAL_MS}
  const intervalMs = Math.min(LONGEST_INTERVAL_MS, Math.max(SHORTEST_INTERVAL_MS, limitMs / 8))
  const firstMs = limitMs < SHORT_LIMIT_MS ? Math.min(SHORT_LIMIT_FIRST_LOOK_MS, intervalMs) : FIRST_LOOK_MS
  return {firstMs, intervalMs}
}

/** What the looks at one try saw. */
export class Sightings implements LockWatchResult {
  wait: LockWait | null = null
  readonly #onWait: (wait: LockWait | null) => void
  #misses = 0

  constructor({onWait}: Pick<WatchRequest, 'onWait'>) {
    this.#onWait = onWait
  }

  get isCertain(): boolean {
    return this.wait !== null || this.#misses >= MISSES
  }

  add(wait: LockWait | null): void {
    if (wait) {
      this.wait = wait
      this.#misses = 0
      this.#onWait(wait)
      return
    }
    this.#misses++
    if (this.wait === null || this.#misses < MISSES) return
    this.wait = null
    this.#onWait(null)
  }
}

/** Watches from the second session of a refresh. */
export const watchFromSecondSession =
  (second: SecondSession): WatchLocks =>
  (request) => {
    const {pid, limitMs} = request
    const sightings = new Sightings(request)
    const stop = second.add({
      ...lookRhythm(limitMs),
      pooledIntervalMs: limitMs === null ? UNHURRIED_INTERVAL_MS : LONGEST_INTERVAL_MS,
      deadlineMs: LAST_LOOK_MS,
      // Whom the refresh waits for is a help, not the work.
      isPersistent: false,
      async take(session) {
        const waits = await findLockWaits(session, [request])
        const wait = waits.get(pid) ?? null
        sightings.add(wait)
        await request.lookFurther?.(session, wait !== null)
        return null
      },
    })
    return {
      stop,
      async seen() {
        await stop(LAST_LOOK_MS)
        return sightings
      },
    }
  }

/**
 * REFRESH locks the view before everything else. A timeout that fires more than a second later was for
 * another lock.
 */
const FIRST_LOCK_MARGIN_MS = 1000

/**
 * For which lock a try waited in vain; null where that is not known. Where nobody could look while the try
 * waited, the sessions that hold the view now tell, unless the refresh had worked for `beforeMs` before it
 * waited.
 */
export async function findWait(
  {session}: Database,
  view: ViewName,
  watch: LockWatch,
  beforeMs: number,
): Promise<LockWait | null> {
  const {wait, isCertain} = await watch.seen()
  if (isCertain || beforeMs > FIRST_LOCK_MARGIN_MS || !session.isUsable) return wait
  const blockers = await findViewHolders(session, view).catch(() => [])
  return blockers.length > 0 ? {relation: qualifiedName(view), isOfView: true, blockers} : null
}

/**
 * The next try of a refresh. A later try is no longer than the oldest transaction that holds the view has
 * run: such readers come and go, and a try that outlasts all of them gets through.
 */
export async function nextTry(
  {session}: Database,
  view: ViewName,
  policy: LockPolicy,
  past: PastTries,
): Promise<LockTry> {
  const oldestBlockerMs = policy?.tryMs === null && past.tries > 0 ? await oldestHolderMs() : null
  const {deadlockTimeoutMs} = session
  return {policy, past, limitMs: tryLimitMs(policy, past, {deadlockTimeoutMs, oldestBlockerMs})}

  async function oldestHolderMs(): Promise<number | null> {
    const holders = await findViewHolders(session, view)
    const ages = holders.map(({transactionAgeMs}) => transactionAgeMs)
    // The ages of other roles' transactions may be hidden.
    return ages.includes(null) ? null : Math.max(0, ...ages.map(Number))
  }
}
