import type {Blocker} from '../lib/errors.ts'
import {tableLocked} from '../lib/failures/tables.ts'
import {type BlockerRow, HOLDER_COLUMNS, HOLDER_JOINS, toBlocker} from './locks/blockers.ts'
import type {Session} from './session.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'
import {type SystemSettings, tableNames} from './system.ts'

/**
 * How long each command waits at its start for whoever locks one of ayb's tables, in milliseconds. From 17 on
 * pg_get_expr locks the table whose expressions it shows, so that a look at the tables waits for a lock on
 * any of them.
 */
const LOOK_PATIENCE_MS = 10_000

/**
 * SQL: a condition that is always true, and that sets the lock timeout to the milliseconds of the parameter
 * `$n`, until the transaction ends.
 */
export const withLockTimeout = (n: number): string =>
  `(select set_config('lock_timeout', $${n}, true)) is not null`

/**
 * Runs a look at ayb's tables. A lock that lasts too long becomes an error that names the table and the
 * holder.
 */
export async function namingLocks<T>(
  session: Session,
  settings: SystemSettings,
  look: (lockTimeoutMs: number) => Promise<T>,
  patienceMs = LOOK_PATIENCE_MS,
): Promise<T> {
  try {
    return await look(patienceMs)
  } catch (error) {
    if (!hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) throw error
    const found = await findTableLock(session, settings, AGAINST_READERS)
    throw tableLocked(found?.table ?? null, patienceMs, found?.holder ?? null)
  }
}

/** Modes of locks, by strength. A session that waits for an exclusive lock keeps others out meanwhile. */
const AGAINST_READERS = ['AccessExclusiveLock']
const AGAINST_WRITERS = [...AGAINST_READERS, 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock']
const OF_ROWS = ['RowExclusiveLock', 'RowShareLock']

interface TableLock {
  table: string
  holder: Blocker
}

/**
 * Who keeps others from changing one of ayb's tables: by a lock on the table, or else, most likely, the
 * longest transaction that has changed or locked rows of one.
 */
export async function findLockAgainstWriters(
  session: Session,
  settings: SystemSettings,
): Promise<(TableLock & {isOfRows: boolean}) | null> {
  const whole = await findTableLock(session, settings, AGAINST_WRITERS)
  const found = whole ?? (await findTableLock(session, settings, OF_ROWS))
  return found && {...found, isOfRows: whole === null}
}

/** Who locks one of ayb's tables in one of these modes, or waits for that. */
async function findTableLock(
  session: Session,
  settings: SystemSettings,
  modes: readonly string[],
): Promise<TableLock | null> {
  const rows = await session.query<BlockerRow & {table_name: string}>(
    `select c.relname as table_name, ${HOLDER_COLUMNS}
       from pg_locks l
       join pg_class c on c.oid = l.relation
       ${HOLDER_JOINS}
      where l.locktype = 'relation' and l.mode = any ($2::text[]) and l.pid is distinct from pg_backend_pid()
        and l.relation in (select to_regclass(t) from unnest($1::text[]) t)
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
      order by l.granted desc, array_position($2::text[], l.mode), coalesce(a.xact_start, p.prepared)
      limit 1`,
    [Object.values(tableNames(settings.schemaName)), modes],
  )
  return rows[0] ? {table: rows[0].table_name, holder: toBlocker(rows[0])} : null
}
