import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {isEndedUnheard, type RefreshLock, type TransactionLock} from '../../db/locks/refresh-lock.ts'
import {endSilentBackends} from '../../db/locks/silent-backends.ts'
import type {Session} from '../../db/session.ts'
import {dropOnAbort} from '../../lib/abort.ts'
import type {ViewName} from '../../lib/records.ts'

/** A refresh that takes less long is not looked after. */
const FIRST_LOOK_MS = 5000
const INTERVAL_MS = 10_000
/** An answer may just be on its way. An answer that takes longer will not come. */
const SECOND_LOOK_MS = 2000
/** A timer of Node can fire a millisecond early. */
const TIMER_SLACK_MS = 10

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

  /** Looks from another session at refreshes that run. Ends the backends that are idle. */
  async find<Refresh extends AwaitedRefresh>(
    session: Session,
    refreshes: readonly Refresh[],
  ): Promise<(Refresh & {pid: number})[]> {
    const direct = refreshes.filter((refresh) => !refresh.session.isPooled)
    const backends = direct.map((refresh) => refresh.session)
    const idle = direct.length > 0 ? await endSilentBackends(session, backends) : []
    const dead = direct
      .filter((refresh) => idle.includes(refresh.session.pid))
      .map((refresh) => ({...refresh, pid: refresh.session.pid}))
    for (const refresh of refreshes) {
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
 * Runs a refresh by hand, and meanwhile has a second session look whether the connection is dead; a dead one
 * is dropped, and the refresh ends with CONNECTION_LOST. A worker looks at all its refreshes from its control
 * session instead.
 */
export async function droppingDeadConnection<T>(
  db: Database,
  view: ViewName,
  lock: RefreshLock,
  run: () => Promise<T>,
): Promise<T> {
  const stopped = new AbortController()
  // A connection that cannot be looked at is not known to be dead.
  const watching = watch(db, {session: db.session, view, lock}, stopped.signal).catch(() => {})
  try {
    return await run()
  } finally {
    stopped.abort()
    await watching
  }
}

async function watch(db: Database, refresh: AwaitedRefresh, signal: AbortSignal): Promise<void> {
  const connections = new DeadConnections()
  let session: Session | undefined
  try {
    for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = INTERVAL_MS) {
      await sleep(pauseMs, undefined, {signal})
      session = await look(db, session, signal, (watcher) => isDead(connections, watcher, refresh, signal))
    }
  } finally {
    await session?.close()
  }
}

/** Looks once, and where that raises a suspicion, once more. */
async function isDead(
  connections: DeadConnections,
  session: Session,
  refresh: AwaitedRefresh,
  signal: AbortSignal,
): Promise<boolean> {
  const dead = await connections.find(session, [refresh])
  if (dead.length > 0 || !connections.isSuspect(refresh)) return dead.length > 0
  await sleep(SECOND_LOOK_MS + TIMER_SLACK_MS, undefined, {signal})
  return (await connections.find(session, [refresh])).length > 0
}

/**
 * Drops the connection of the refresh where it is dead. Returns the session for the next look, if there is
 * one.
 */
async function look(
  db: Database,
  before: Session | undefined,
  signal: AbortSignal,
  isDead: (session: Session) => Promise<boolean>,
): Promise<Session | undefined> {
  let session = before
  try {
    if (!session?.isUsable) session = await db.server.openSession({signal, deadlineMs: INTERVAL_MS})
    // Of several hosts it may have got another one, where there is no such backend. The next time it may get
    // this one.
    if (!session.isBeside(db.session) || session.readOnlyReason === 'recovery') {
      await session.close()
      return undefined
    }
    // After a pause of this process, the answer may lie here unread.
    await new Promise((resolve) => setImmediate(resolve))
    if (signal.aborted) return session
    // Behind a pooler, the look may have to wait for long: a refresh that ends meanwhile does not wait for
    // the look.
    const looking = session
    const hasEnded = await dropOnAbort(looking, signal, () => isDead(looking))
    if (hasEnded && !signal.aborted) db.session.destroy()
    if (!session.isPooled) return session
    // In session mode the session would keep a connection of the pool from others.
    await session.close()
    return undefined
  } catch {
    session?.destroy()
    return undefined
  }
}
