import type {Database} from './database.ts'

/** Not in the 32 bits of the locks of views. */
const APPLY_LOCK = '8097879711495936002'

/** Longer than any other change of these rows takes. */
const LOCK_PATIENCE = '60s'

/** Lets one transaction after the other apply a file. A lock that another session holds is waited for, not for ever. */
export async function takeApplyLock({session}: Database): Promise<void> {
  await session.script([
    `set local lock_timeout = '${LOCK_PATIENCE}'`,
    `select pg_advisory_xact_lock(${APPLY_LOCK})`,
  ])
}
