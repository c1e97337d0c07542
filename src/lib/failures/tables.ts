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

/** Another session applies a file, and does not end. `holder` is null where that had ended before ayb looked. */
export const applyTimeout = (timeoutMs: number, holder: Blocker | null): AybError =>
  new AybError(
    'TIMEOUT',
    `lock timeout: waited ${formatDuration(timeoutMs)} for another session that applies a file${holder ? `, ${describeBlocker(holder)}` : ''}`,
    {
      hint: `nothing was changed; ${endedOr(holder)}`,
      details: {timeoutMs, timeout: 'lock', blockers: holder ? [holder] : []},
    },
  )

/**
 * Another session locks one of ayb's own tables, or rows of one. `table` and `holder` are null where the lock
 * was gone before ayb looked.
 */
export function tableLocked(
  table: string | null,
  timeoutMs: number,
  holder: Blocker | null,
  {isOfRows = false} = {},
): AybError {
  const whole = table === null ? "one of ayb's own tables" : `ayb's own table ${table}`
  const which = isOfRows ? `rows of ${whole}` : whole
  // Of rows, Postgres tells who waits, and not which session has the row.
  const by = holder ? `, which ${isOfRows ? 'probably ' : ''}${describeBlocker(holder)} locks` : ''
  return new AybError(
    'TIMEOUT',
    `lock timeout: waited ${formatDuration(timeoutMs)} for a lock on ${which}${by}`,
    {
      hint: endedOr(holder),
      details: {timeoutMs, timeout: 'table', blockers: holder ? [holder] : []},
    },
  )
}

/** Something needs one of ayb's optional tables. */
export const tableMissing = (table: string, purpose: string): AybError =>
  new AybError(
    'PERMISSION_DENIED',
    `${purpose} needs the table ${table}, which is missing and which this role may not create`,
    {remedy: {kind: 'create-tables'}},
  )

/** A migration waits that older programs cannot live with, so nothing applies it without being asked. */
export const upgradeRequired = (migration: string): AybError =>
  new AybError(
    'UPGRADE_REQUIRED',
    `the tables need an upgrade that older programs do not understand (${migration})`,
    {remedy: {kind: 'upgrade-tables'}},
  )

/** The server is a standby, or the sessions of the role are read-only. */
export const takesNoWrites = (reason: 'recovery' | 'default_transaction_read_only'): AybError =>
  reason === 'recovery'
    ? new AybError('READ_ONLY', 'this server is in recovery: it follows another server and takes no writes', {
        hint: 'connect to the primary, for example with target_session_attrs=read-write',
        details: {reason},
      })
    : new AybError(
        'READ_ONLY',
        'the sessions of this role are read-only: default_transaction_read_only is on',
        {
          hint: 'connect as another role, or: ALTER ROLE … SET default_transaction_read_only = off',
          details: {reason},
        },
      )

const endedOr = (holder: Blocker | null): string =>
  holder ? `wait until that session ends, or end it: ${endOf(holder)}; then try again` : 'try again'

/** The SQL that ends the session or the prepared transaction that holds the lock. */
function endOf(holder: Blocker | null): string {
  if (!holder) return "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
  return holder.pid === 0 ? 'ROLLBACK PREPARED' : `SELECT pg_terminate_backend(${holder.pid})`
}
