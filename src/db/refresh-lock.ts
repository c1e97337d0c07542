import {AybError} from '../lib/errors.ts'
import {lockName} from '../lib/identifier.ts'
import type {ViewName} from '../lib/records.ts'
import {exactInstant} from './instant.ts'
import type {Session} from './session.ts'

/** The lock of a view, held by a session: whoever refreshes a view holds it, AYB servers too. */
export interface RefreshLock {
  /** When it was taken, by the server's clock, exact to the microsecond. */
  startedAt: string
  /**
   * Sends the unlock, behind whatever the session still runs, and waits for its end. Once: later calls return the same.
   * A session whose unlock did not end as expected is dropped, and the lock with it.
   */
  release(): Promise<void>
}

/**
 * Runs work that holds the lock of a view; null, without running it, where another session holds it. The work may
 * release the lock itself, and early: right behind its statement. `taken` is what came of an attempt to take the lock
 * before; without it, it is taken here.
 */
export async function withRefreshLock<T>(
  session: Session,
  view: ViewName,
  work: (lock: RefreshLock) => Promise<T>,
  taken?: RefreshLock | null,
): Promise<T | null> {
  const lock = taken === undefined ? await takeRefreshLock(session, view) : taken
  if (!lock) return null
  try {
    return await work(lock)
  } finally {
    await lock.release()
  }
}

/** The lock, or null where another session holds it. Whoever takes it this way must see to its release. */
export async function takeRefreshLock(session: Session, view: ViewName): Promise<RefreshLock | null> {
  const startedAt = await tryLock(session, view)
  return startedAt === null ? null : heldLock(session, lockName(view), startedAt)
}

/** The lock of that name, which the session has held since that instant. */
export function heldLock(session: Session, name: string, startedAt: string): RefreshLock {
  let released: Promise<void> | undefined
  return {
    startedAt,
    release() {
      released ??= unlock(session, name).catch(() => session.destroy())
      return released
    },
  }
}

/** Whether the session holds the lock of any view. A worker's own key is outside the range of 32 bits. */
export async function holdsAnyRefreshLock(session: Session): Promise<boolean> {
  const rows = await session.query(
    `select from pg_locks
      where pid = pg_backend_pid() and locktype = 'advisory' and objsubid = 1 and classid in (0, 4294967295)`,
  )
  return rows.length > 0
}

/** The instant when the lock was taken, or null where another session holds it. */
async function tryLock(session: Session, view: ViewName): Promise<string | null> {
  // Materialized: in a WHERE the planner may call it once a row, and each call needs its own unlock.
  const rows = await session.query<{is_locked: boolean; at: string}>(
    `with attempt as materialized (select pg_try_advisory_lock(hashtext($1)) as is_locked)
     select is_locked, ${exactInstant('statement_timestamp()')} as at from attempt`,
    [lockName(view)],
  )
  return rows[0]?.is_locked ? rows[0].at : null
}

async function unlock(session: Session, name: string): Promise<void> {
  const rows = await session.query<{is_unlocked: boolean}>(
    'select pg_advisory_unlock(hashtext($1)) as is_unlocked',
    [name],
  )
  if (!rows[0]?.is_unlocked) throw new AybError('INTERNAL', `the lock of ${name} was not held`)
}
