import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {isEndedUnheard, type RefreshLock, type TransactionLock} from '../../db/locks/refresh-lock.ts'
import {endSilentBackends} from '../../db/locks/silent-backends.ts'
import type {Session} from '../../db/session.ts'
import {dropOnAbort} from '../../lib/abort.ts'
import type {ViewName} from '../../lib/records.ts'

/** What takes less long is not looked after. */
const FIRST_LOOK_MS = 5000
const INTERVAL_MS = 10_000
/** An answer may just be on its way. */
const SECOND_LOOK_MS = 2000

/** Whether a second session finds the answer given that this side still waits for. */
type IsSilent = (session: Session, signal: AbortSignal) => Promise<boolean>

/**
 * While a refresh by hand runs, has a second session look whether its backend still works: where that has ended
 * and its answer is awaited, there is a dead network in between, and the connection is given up. A worker watches all its
 * refreshes at once instead.
 */
export async function watchingForSilence<T>(
  db: Database,
  view: ViewName,
  lock: RefreshLock,
  run: () => Promise<T>,
): Promise<T> {
  const stopped = new AbortController()
  const isSilent = lock.isOfTransaction ? transactionHasEnded(view, lock) : backendIsIdle(db.session)
  // What cannot be looked at is not known to be dead.
  const watching = watch(db, isSilent, stopped.signal).catch(() => {})
  try {
    return await run()
  } finally {
    stopped.abort()
    await watching
  }
}

const backendIsIdle =
  (watched: Session): IsSilent =>
  async (session) =>
    (await endSilentBackends(session, [watched])).length > 0

/** Behind a pooler the backend may serve somebody else by now. What tells is the lock of its transaction: twice gone. */
const transactionHasEnded =
  (view: ViewName, lock: TransactionLock): IsSilent =>
  async (session, signal) => {
    if (!(await isEndedUnheard(session, view, lock))) return false
    await sleep(SECOND_LOOK_MS, undefined, {signal})
    return isEndedUnheard(session, view, lock)
  }

async function watch(db: Database, isSilent: IsSilent, signal: AbortSignal): Promise<void> {
  let session: Session | undefined
  try {
    for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = INTERVAL_MS) {
      await sleep(pauseMs, undefined, {signal})
      session = await look(db, session, isSilent, signal)
    }
  } finally {
    await session?.close()
  }
}

/** Returns the session to look from next time, if there is one. */
async function look(
  db: Database,
  before: Session | undefined,
  isSilent: IsSilent,
  signal: AbortSignal,
): Promise<Session | undefined> {
  let session = before
  try {
    if (!session?.isUsable) session = await db.openSession(signal)
    session.deadlineMs = INTERVAL_MS
    // Of several hosts it may have got another one, where there is no such backend. The next time it may get this one.
    if (!session.isBeside(db.session) || session.readOnlyReason === 'recovery') {
      await session.close()
      return undefined
    }
    // After a pause of this process, the answer may lie here unread.
    await new Promise((resolve) => setImmediate(resolve))
    if (signal.aborted) return session
    // Behind a pooler, its turn may be long in coming: the refresh that ends does not wait for that.
    const looking = session
    const hasEnded = await dropOnAbort(looking, signal, () => isSilent(looking, signal))
    if (hasEnded && !signal.aborted) db.session.destroy()
    if (!session.isPooled) return session
    // In session mode it would keep a connection of the pool from others.
    await session.close()
    return undefined
  } catch {
    session?.destroy()
    return undefined
  }
}
