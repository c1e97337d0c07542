import type {Blocker} from '../../lib/errors.ts'
import type {Database} from '../database.ts'
import {BLOCKER_COLUMNS, type BlockerRow, toBlocker} from '../locks/blockers.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {isBefore, isOfEarlierRun} from './failure-record.ts'

/** How long to wait for whoever holds the row of a registration, while nothing else waits for the answer. */
const LOCK_TIMEOUT = '5s'

/**
 * Writes the status of a view from a run that is recorded, once the row of the registration is free. A later
 * status stands. Returns whether the row became free in time.
 */
export async function writeStatus({session, tables}: Database, runId: string): Promise<boolean> {
  try {
    await session.transaction(async () => {
      await session.script([`set local lock_timeout = '${LOCK_TIMEOUT}'`])
      // In a statement of its own, so that the next one sees the runs of whoever held the row.
      await session.query(
        `select r.id from ${tables.registrations} r, ${tables.runs} h
          where h.id = $1 and r.schema_name = h.schema_name and r.view_name = h.view_name
            for no key update of r`,
        [runId],
      )
      await session.query(
        `update ${tables.registrations} as r
            set last_refresh_at = h.started_at + h.duration_ms * interval '1 ms', last_refresh_duration_ms = h.duration_ms,
                last_refresh_status = case h.status when 'success' then 'success' else 'error' end,
                last_refresh_error = h.error, updated_at = clock_timestamp()
           from ${tables.runs} h
          where h.id = $1 and r.schema_name = h.schema_name and r.view_name = h.view_name
            and (${isBefore('h.started_at')} or ${isOfEarlierRun(tables, 'h.started_at')})`,
        [runId],
      )
    })
    return true
  } catch (error) {
    if (hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) return false
    throw error
  }
}

/**
 * The sessions whose lock on one of ayb's tables keeps others from writing to it, and the name of that table.
 */
export async function findTableBlockers({
  session,
  tables,
}: Database): Promise<{table: string; blockers: Blocker[]} | null> {
  const rows = await session.query<BlockerRow & {table_name: string}>(
    `select c.relname as table_name, ${BLOCKER_COLUMNS}
       from pg_locks l
       join pg_class c on c.oid = l.relation
       join pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'relation' and l.granted and l.relation in (select to_regclass(t) from unnest($1::text[]) t)
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      order by a.xact_start`,
    [[tables.runs, tables.registrations, tables.jobs, tables.states]],
  )
  const table = rows[0]?.table_name
  return table === undefined ? null : {table, blockers: rows.map(toBlocker)}
}

/**
 * The sessions that hold a row of the registrations, as far as locks on tables tell: each has written or
 * locked a row.
 */
export async function findRowHolders({session, tables}: Database): Promise<Blocker[]> {
  const rows = await session.query<BlockerRow>(
    `select distinct ${BLOCKER_COLUMNS}
       from pg_locks l
       join pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'relation' and l.granted and l.relation = $1::regclass
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and l.mode in ('RowShareLock', 'RowExclusiveLock') and a.pid <> pg_backend_pid()`,
    [tables.registrations],
  )
  return rows.map(toBlocker)
}
