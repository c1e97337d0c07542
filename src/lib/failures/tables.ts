import {describeBlocker} from '../blockers.ts'
import {formatDuration} from '../duration.ts'
import {AybError, type Blocker} from '../errors.ts'

/** Another session holds the lock under which ayb's tables are created and upgraded. */
export function migrationTimeout(timeoutMs: number, holder: Blocker | null): AybError {
  const by = holder ? `, held by ${describeBlocker(holder)}` : ''
  return new AybError(
    'TIMEOUT',
    `lock timeout: waited ${formatDuration(timeoutMs)} for the lock under which ayb's tables are created${by}`,
    {
      hint: `if that is no ayb at work, end it: ${endOf(holder)}; then try again`,
      details: {timeoutMs, timeout: 'lock', blockers: holder ? [holder] : []},
    },
  )
}

/** Another session locks one of ayb's own tables against readers; null where it was gone when looked for. */
export function tableLocked(table: string | null, timeoutMs: number, holder: Blocker | null): AybError {
  const which = table === null ? "one of ayb's own tables" : `ayb's own table ${table}`
  const by = holder ? `, which ${describeBlocker(holder)} locks` : ''
  return new AybError(
    'TIMEOUT',
    `lock timeout: waited ${formatDuration(timeoutMs)} for a lock on ${which}${by}`,
    {
      hint: holder
        ? `wait for that session to end, or end it: ${endOf(holder)}; then try again`
        : 'try again',
      details: {timeoutMs, timeout: 'table', blockers: holder ? [holder] : []},
    },
  )
}

/** The SQL that ends whoever holds a lock. */
function endOf(holder: Blocker | null): string {
  if (!holder) return "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
  return holder.pid === 0 ? 'ROLLBACK PREPARED' : `SELECT pg_terminate_backend(${holder.pid})`
}
