import {describeBlocker, heldBy} from '../blockers.ts'
import {formatDuration} from '../duration.ts'
import {AybError, type Blocker} from '../errors.ts'

/** Another session holds the lock that guards the creation and the upgrade of ayb's tables. */
export function migrationTimeout(timeoutMs: number, holder: Blocker | null): AybError {
  const blockers = holder ? [holder] : []
  return new AybError(
    'TIMEOUT',
    `lock timeout: waited ${formatDuration(timeoutMs)} for the lock that guards the creation of ayb's tables${heldBy(blockers)}`,
    {
      hint: `if that session is not an ayb at work, end it: ${endOf(holder)}; then try again`,
      details: {timeoutMs, timeout: 'lock', blockers},
    },
  )
}

/**
 * Another session locks one of ayb's own tables against readers. `table` and `holder` are null where the lock
 * was gone before ayb looked.
 */
export function tableLocked(table: string | null, timeoutMs: number, holder: Blocker | null): AybError {
  const which = table === null ? "one of ayb's own tables" : `ayb's own table ${table}`
  const by = holder ? `, which ${describeBlocker(holder)} locks` : ''
  return new AybError(
    'TIMEOUT',
    `lock timeout: waited ${formatDuration(timeoutMs)} for a lock on ${which}${by}`,
    {
      hint: holder
        ? `wait until that session ends, or end it: ${endOf(holder)}; then try again`
        : 'try again',
      details: {timeoutMs, timeout: 'table', blockers: holder ? [holder] : []},
    },
  )
}

/** The SQL that ends the session or the prepared transaction that holds the lock. */
function endOf(holder: Blocker | null): string {
  if (!holder) return "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
  return holder.pid === 0 ? 'ROLLBACK PREPARED' : `SELECT pg_terminate_backend(${holder.pid})`
}
