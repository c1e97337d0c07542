import {AybError} from '../../lib/errors.ts'
import {lockName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import {exactInstant} from '../instant.ts'
import {oneIf} from '../message-statement.ts'
import type {Session} from '../session.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {viewKey} from './advisory-keys.ts'

/** What came of an attempt to take the lock of a view. Refused: another session holds it. */
export type LockAnswer = RefreshLock | 'refused'

/** The lock of a view: whoever refreshes a view holds it, AYB servers too. */
export type RefreshLock = SessionLock | TransactionLock

interface TakenLock {
  /** When it was taken, by the server's clock, exact to the microsecond. */
  startedAt: string
  /** The backend that holds it. */
  pid: number
  /**
   * Sends the unlock and waits for its end. Once: later calls return the same. A session whose unlock did not
   * end as expected is dropped, and the lock with it. After `leaveTo`, nothing is sent.
   */
  release(): Promise<void>
}

/** Held by a session. */
export interface SessionLock extends TakenLock {
  isOfTransaction: false
  /**
   * Notes that a message was sent whose transaction frees the lock, by `leftToTransaction`. A later `release`
   * only waits for the end of that message.
   */
  leaveTo(message: Promise<unknown>): void
}

/** Held for the transaction that is open on the session, and ends with it: behind a pooler. */
export interface TransactionLock extends TakenLock {
  isOfTransaction: true
  /**
   * With the pid, what tells its transaction from another one of the same backend: exact to the microsecond.
   */
  transactionStartedAt: string
  /** Whether this program knows that the lock is free again. */
  readonly isReleased: boolean
}

/**
 * Runs work that holds the lock of a view; null, without running it, where another session holds it. The work
 * may leave the lock to a transaction. Where nobody has tried to take the lock, it is taken here.
 */
export async function withRefreshLock<T>(
  session: Session,
  view: ViewName,
  work: (lock: RefreshLock) => Promise<T>,
  answer: LockAnswer | 'untried' = 'untried',
): Promise<T | null> {
  const lock = answer === 'untried' ? await takeRefreshLock(session, view) : answer
  if (lock === null || lock === 'refused') return null
  try {
    return await work(lock)
  } finally {
    await lock.release()
  }
}

/** The lock, or null where another session holds it. The caller must release the lock. */
export async function takeRefreshLock(session: Session, view: ViewName): Promise<RefreshLock | null> {
  if (session.isPooled) {
    return takeForTransaction(session, () => tryLock(session, view, 'pg_try_advisory_xact_lock'))
  }
  const taken = await tryLock(session, view, 'pg_try_advisory_lock')
  return taken ? heldLock(session, lockName(view), taken.at) : null
}

/**
 * Stands in line for the lock of a view; null where the lock was not free within the patience. Without a
 * line, a refresh that waits would never get the lock of a view that a worker refreshes every second. The
 * waiting statement holds a snapshot, which keeps vacuum from removing rows: so wait for a second at a time.
 */
export async function queueForRefreshLock(
  session: Session,
  view: ViewName,
  patienceMs: number,
): Promise<RefreshLock | null> {
  if (session.isPooled) {
    return takeForTransaction(session, () => waitForLock(session, view, 'pg_advisory_xact_lock', patienceMs))
  }
  const taken = await waitForLock(session, view, 'pg_advisory_lock', patienceMs)
  return taken ? heldLock(session, lockName(view), taken.at) : null
}

/**
 * Behind a pooler, a session lock would stay on the server connection, where it does not exclude the next
 * client of this connection. So `take` runs in a transaction that keeps the lock.
 */
async function takeForTransaction(
  session: Session,
  take: () => Promise<LockRow | null>,
): Promise<TransactionLock | null> {
  await session.begin()
  try {
    const taken = await take()
    if (taken) {
      let isReleased = false
      return {
        startedAt: taken.at,
        pid: taken.pid,
        isOfTransaction: true,
        transactionStartedAt: taken.transaction_at,
        get isReleased() {
          return isReleased
        },
        async release() {
          await session.rollback()
          isReleased = true
        },
      }
    }
  } catch (error) {
    await session.rollback()
    throw error
  }
  await session.rollback()
  return null
}

/** The lock of that name, which the session has held since that instant. */
export function heldLock(session: Session, name: string, startedAt: string): SessionLock {
  let released: Promise<void> | undefined
  return {
    startedAt,
    pid: session.pid,
    isOfTransaction: false,
    leaveTo(message) {
      released ??= Promise.allSettled([message]).then(() => {})
    },
    release() {
      released ??= unlock(session, name).catch(() => session.destroy())
      return released
    },
  }
}

/**
 * SQL: the number 1, from an expression that leaves the lock of that name, which the session holds, to the
 * transaction: the server frees the lock when the transaction ends, whatever becomes of this process. The
 * expression fails with SQLSTATE 22012 where the session does not hold the lock. A lock that is held in both
 * ways is held until both are released. The expression contains the name only once, since pg_stat_activity shows
 * no more than the first 1,024 bytes of a message.
 */
export const leftToTransaction = (name: string): string =>
  oneIf(`select pg_catalog.pg_try_advisory_xact_lock(l.key) and pg_catalog.pg_advisory_unlock(l.key)
  from (select ${viewKey(name)}) l (key)`)

/** Whether the session holds the lock of any view. A worker's own key is outside the range of 32 bits. */
async function holdsAnyRefreshLock(session: Session): Promise<boolean> {
  const rows = await session.query(
    `select from pg_locks
      where pid = pg_backend_pid() and locktype = 'advisory' and objsubid = 1 and classid in (0, 4294967295)`,
  )
  return rows.length > 0
}

/** Releases the locks of all views that the session holds. */
export async function releaseAllRefreshLocks(session: Session): Promise<void> {
  await session.query(
    `with held as materialized (
       select (classid::bigint << 32) | objid::bigint as key
         from pg_locks
        where pid = pg_backend_pid() and locktype = 'advisory' and objsubid = 1 and classid in (0, 4294967295))
     select pg_advisory_unlock(key) from held`,
  )
}

interface LockRow {
  at: string
  transaction_at: string
  pid: number
}

/**
 * When the lock was taken, and by which transaction of which backend; null where another session holds it.
 */
async function tryLock(
  session: Session,
  view: ViewName,
  lockFunction: 'pg_try_advisory_lock' | 'pg_try_advisory_xact_lock',
): Promise<LockRow | null> {
  // Materialized: in a WHERE the planner may call it once a row, and each call needs its own unlock.
  const rows = await session.query<LockRow & {is_locked: boolean}>(
    `with attempt as materialized (select ${lockFunction}(${viewKey('$1')}) as is_locked)
     select is_locked, ${exactInstant('statement_timestamp()')} as at,
            ${exactInstant('transaction_timestamp()')} as transaction_at, pg_backend_pid() as pid
       from attempt`,
    [lockName(view)],
  )
  return rows[0]?.is_locked ? rows[0] : null
}

/** The same for a lock that is waited for, for so long at the most. */
async function waitForLock(
  session: Session,
  view: ViewName,
  lockFunction: 'pg_advisory_lock' | 'pg_advisory_xact_lock',
  patienceMs: number,
): Promise<LockRow | null> {
  // One message: without a transaction around it, SET LOCAL lasts as long as that.
  const statements = [
    `set local lock_timeout = ${Math.max(1, Math.ceil(patienceMs))}`,
    `with wait as materialized (select ${lockFunction}(${viewKey(session.literal(lockName(view)))}))
     ${SELECT_LOCK_ROW} from wait`,
    'set local lock_timeout = 0',
  ]
  try {
    const [, rows] = await session.script(statements)
    return rows?.[0] as LockRow
  } catch (error) {
    if (!hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) throw error
    if (session.isPooled || !(await holdsAnyRefreshLock(session))) return null
    // It was granted in the very moment in which the wait ended.
    const [row] = await session.query<LockRow>(SELECT_LOCK_ROW)
    return row as LockRow
  }
}

/** clock_timestamp(): the statement may have waited. */
const SELECT_LOCK_ROW = `select ${exactInstant('clock_timestamp()')} as at,
            ${exactInstant('transaction_timestamp()')} as transaction_at, pg_backend_pid() as pid`

async function unlock(session: Session, name: string): Promise<void> {
  // An event trigger of an earlier refresh may have set another search_path.
  const [row] = await session.query<{is_unlocked: boolean}>(
    `select pg_catalog.pg_advisory_unlock(${viewKey('$1')}) as is_unlocked`,
    [name],
  )
  if (!row?.is_unlocked) throw notHeld(name)
}

/** The session does not hold the lock of that name, as this program thought. */
export const notHeld = (name: string): AybError =>
  new AybError('INTERNAL', `the lock of ${name} was not held`, {
    hint: 'behind a pooler that passes a server connection on after each transaction, do not set AYB_POOLED=off',
  })
