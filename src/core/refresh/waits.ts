import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {findLockHolder} from '../../db/locks/blockers.ts'
import {queueForRefreshLock} from '../../db/locks/refresh-lock.ts'
import {findRegistration} from '../../db/registrations.ts'
import {refreshInProgress, waitTimeout} from '../../lib/failures/refreshes.ts'
import {notRegistered} from '../../lib/failures/registrations.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import type {ViewName} from '../../lib/records/values.ts'
import {timerMs} from '../../lib/timer.ts'
import {cancelOnAbort} from './cancel.ts'
import type {BlockedRefresh} from './result.ts'
import type {PastTries} from './tries.ts'

/**
 * A session that stands in line for a lock keeps vacuum from removing rows, so it stands for a second at a
 * time.
 */
const LONGEST_WAIT_MS = 1000

/**
 * Waits before the next try, so that readers of the view get their turn. Adds the time to what tries took.
 */
export async function pauseAfter({pauseMs, past}: BlockedRefresh, signal: AbortSignal): Promise<PastTries> {
  const startedAt = performance.now()
  await pause(pauseMs, signal)
  return {...past, elapsedMs: past.elapsedMs + performance.now() - startedAt}
}

/** Whatever fails after an abort fails for the reason of that abort. */
export async function endingWith<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
}

/** During a wait the registration may have changed: to another mode, or it is gone. */
export async function readAgain(
  db: Database,
  before: Registration,
  signal: AbortSignal,
): Promise<Registration> {
  const read = () => findRegistration(db, {id: before.id})
  const now = await endingWith(signal, () => cancelOnAbort(db.session, signal, read))
  if (!now) throw notRegistered(before, null)
  return now
}

/** The error for a view whose lock somebody else still holds; `waitedMs` is null where nobody waited. */
export async function stillLocked(db: Database, view: ViewName, waitedMs: number | null) {
  const holder = await findLockHolder(db.session, view)
  return waitedMs === null ? refreshInProgress(view, holder) : waitTimeout(view, waitedMs, holder)
}

/** Waits for the lock of the view, for a second at most, and leaves the rest of `leftMs` to later calls. */
export const queueForLock = (db: Database, view: ViewName, leftMs: number, signal: AbortSignal) =>
  endingWith(signal, () =>
    cancelOnAbort(db.session, signal, () =>
      queueForRefreshLock(db.session, view, Math.min(LONGEST_WAIT_MS, leftMs)),
    ),
  )

/** Ends early, with the error of the signal, when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(timerMs(ms), undefined, {signal})
  } catch {
    signal.throwIfAborted()
  }
}
