import type {Database} from './database.ts'

/** Outside the 32-bit range of the locks of views. */
const APPLY_LOCK = '8097879711495936002'

/**
 * Longer than any other change of these rows takes, and less than the deadline of a kept session: a session
 * that waits for a lock still works.
 */
const LOCK_PATIENCE = '30s'

/** Makes transactions that apply files run one after the other. The wait for another session has a limit. */
export async function takeApplyLock({session}: Database): Promise<void> {
  await session.script([
    `set local lock_timeout = '${LOCK_PATIENCE}'`,
    `select pg_advisory_xact_lock(${APPLY_LOCK})`,
  ])
}
