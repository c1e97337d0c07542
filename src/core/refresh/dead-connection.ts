import type {RefreshLock, TransactionLock} from '../../db/locks/refresh-lock.ts'
import {isEndedUnheard} from '../../db/locks/seen-lock.ts'
import {endSilentBackends} from '../../db/locks/silent-backends.ts'
import type {Session} from '../../db/session.ts'
import type {ViewName} from '../../lib/records/values.ts'
import {TIMER_EARLY_MS} from '../../lib/timer.ts'
import type {Look} from './second-session.ts'

/** Shorter refreshes are not checked. */
const FIRST_LOOK_MS = 5000
const INTERVAL_MS = 10_000
/** An answer may just be on its way. An answer that takes longer will not come. */
const SECOND_LOOK_MS = 2000

/** A refresh whose answer is awaited on a session. */
interface AwaitedRefresh {
  session: Session
  /** Null where the payload of a job names no view. */
  view: ViewName | null
  /** Null until the refresh holds it. */
  lock: RefreshLock | null
}

/**
 * Tells on which connections an answer is awaited in vain: the backend has given its answer, or is gone, and
 * the network in between is dead.
 */
export class DeadConnections {
  /** When the locks of transactions were first seen to be gone, as performance.now() tells it. */
  readonly #goneSince = new WeakMap<TransactionLock, number>()

  /**
   * Looks from another session at refreshes that run. Ends the backends that are idle. Of several hosts, the
   * other session may have got another one: refreshes that run elsewhere are left alone.
   */
  async find<Refresh extends AwaitedRefresh>(
    session: Session,
    refreshes: readonly Refresh[],
  ): Promise<(Refresh & {pid: number})[]> {
    const beside = refreshes.filter((refresh) => session.isBeside(refresh.session))
    const direct = beside.filter((refresh) => !refresh.session.isPooled)
    const backends = direct.map((refresh) => refresh.session)
    const idle = direct.length > 0 ? await endSilentBackends(session, backends) : []
    const dead = direct
      .filter((refresh) => idle.includes(refresh.session.pid))
      .map((refresh) => ({...refresh, pid: refresh.session.pid}))
    for (const refresh of beside) {
      const {view, lock} = refresh
      if (view && lock?.isOfTransaction && (await this.#isOver(session, view, lock))) {
        dead.push({...refresh, pid: lock.pid})
      }
    }
    return dead
  }

  /**
   * Whether the lock of a transaction was seen to be gone, and a look two seconds later is to make that
   * certain.
   */
  isSuspect({lock}: AwaitedRefresh): boolean {
    return lock?.isOfTransaction === true && this.#goneSince.has(lock)
  }

  /**
   * Behind a pooler the backend may serve somebody else by now, so the lock of the transaction tells: it is
   * gone in two looks, of which the second begins two seconds after the first.
   */
  async #isOver(session: Session, view: ViewName, lock: TransactionLock): Promise<boolean> {
    const lookedAt = performance.now()
    if (!(await isEndedUnheard(session, view, lock))) return false
    const goneSince = this.#goneSince.get(lock)
    if (goneSince === undefined) this.#goneSince.set(lock, performance.now())
    return goneSince !== undefined && lookedAt - goneSince >= SECOND_LOOK_MS
  }
}

/**
 * Looks whether the connection of a refresh by hand is dead. A dead connection is dropped, and the refresh
 * ends with CONNECTION_LOST. A worker looks at all its refreshes from its control session instead.
 */
export function deadConnectionLook(refresh: AwaitedRefresh): Look {
  const connections = new DeadConnections()
  return {
    firstMs: FIRST_LOOK_MS,
    intervalMs: INTERVAL_MS,
    pooledIntervalMs: INTERVAL_MS,
    deadlineMs: INTERVAL_MS,
    // A connection that cannot be looked at is not known to be dead.
    isPersistent: true,
    async take(session, signal) {
      const dead = await connections.find(session, [refresh])
      if (dead.length > 0 && !signal.aborted) refresh.session.destroy()
      return connections.isSuspect(refresh) ? SECOND_LOOK_MS + TIMER_EARLY_MS : null
    },
  }
}
