import {applyTimeout, tableLocked} from '../lib/failures/tables.ts'
import type {Database} from './database.ts'
import {findKeyHolder} from './locks/blockers.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'
import {findLockAgainstWriters} from './table-locks.ts'

/** Outside the 32-bit range of the locks of views. */
const APPLY_LOCK = '8097879711495936002'

/**
 * Longer than any other change of these rows takes, and less than the deadline of a kept session: a session
 * that waits for a lock still works.
 */
const LOCK_PATIENCE_MS = 30_000

/**
 * Runs a transaction that applies a file: such transactions run one after the other. The wait for another
 * session has a limit.
 * @throws AybError TIMEOUT, which names the other session
 */
export async function applyingAlone<T>(db: Database, work: () => Promise<T>): Promise<T> {
  const {session, server} = db
  let isAlone = false
  try {
    return await session.transaction(async () => {
      await session.script([
        `set local lock_timeout = ${LOCK_PATIENCE_MS}`,
        `select pg_advisory_xact_lock(${APPLY_LOCK})`,
      ])
      isAlone = true
      return work()
    })
  } catch (error) {
    if (!hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) throw error
    if (!isAlone) throw applyTimeout(LOCK_PATIENCE_MS, await findKeyHolder(session, APPLY_LOCK))
    const found = await findLockAgainstWriters(session, server.settings)
    throw tableLocked(found?.table ?? null, LOCK_PATIENCE_MS, found?.holder ?? null, {
      isOfRows: found?.isOfRows === true,
    })
  }
}
