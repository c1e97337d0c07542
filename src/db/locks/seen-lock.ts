import {setTimeout as sleep} from 'node:timers/promises'
import {lockName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Session} from '../session.ts'
import {heldKey, isHeldKey, viewKey} from './advisory-keys.ts'
import type {TransactionLock} from './refresh-lock.ts'

/** A backend looks every second whether its client is still there. */
const RELEASE_PATIENCE_MS = 10_000
const RELEASE_LOOK_MS = 100

/** A lock as another session can tell it from a later one of the same view on the same backend. */
type SeenLock = Pick<TransactionLock, 'pid' | 'transactionStartedAt'>

/** Waits until that lock of the view is free, but not for longer than it takes to notice a lost client. */
export async function untilReleased(session: Session, view: ViewName, lock: SeenLock): Promise<void> {
  for (const deadline = performance.now() + RELEASE_PATIENCE_MS; performance.now() < deadline; ) {
    if (!(await isLockHeld(session, view, lock))) return
    await sleep(RELEASE_LOOK_MS)
  }
}

/**
 * Whether the transaction that took the lock of the view has ended, as another session sees it, while this
 * side still waits for its answer.
 */
export async function isEndedUnheard(
  session: Session,
  view: ViewName,
  lock: TransactionLock,
): Promise<boolean> {
  return !lock.isReleased && !(await isLockHeld(session, view, lock)) && !lock.isReleased
}

/**
 * Whether the transaction that took that lock of the view still holds it. Its backend may work for somebody
 * else by now, and for this view again: a transaction that began at another time is not the one. The
 * comparison is for equality, since clocks may be set back.
 */
async function isLockHeld(session: Session, view: ViewName, lock: SeenLock): Promise<boolean> {
  const rows = await session.query(
    `select from pg_locks l
       left join pg_stat_activity a on a.pid = l.pid
      where l.pid = $1 and ${isHeldKey('l')}
        and ${heldKey('l')} = ${viewKey('$2')}
        and (a.xact_start is null or a.xact_start = $3::timestamptz)`,
    [lock.pid, lockName(view), lock.transactionStartedAt],
  )
  return rows.length > 0
}
