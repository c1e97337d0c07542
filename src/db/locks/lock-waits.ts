import type {Blocker} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Session} from '../session.ts'
import {type BlockerRow, HOLDER_COLUMNS, HOLDER_JOINS, toBlocker} from './blockers.ts'

/** A backend that refreshes a view. */
export interface WatchedRefresh {
  pid: number
  view: ViewName
}

/** A lock that a refresh waits for. */
export interface LockWait {
  /** As a person writes the relation; null where the lock is none of a relation. */
  relation: string | null
  /** Whether that is the view itself. */
  isOfView: boolean
  blockers: Blocker[]
}

type WaitRow = {
  waiting: number
  schema_name: string | null
  relation_name: string | null
  is_of_view: boolean
} & (BlockerRow | {pid: null})

/** Which of the refreshes wait for a lock right now, by the pid of their backend. */
export async function findLockWaits(
  session: Session,
  refreshes: readonly WatchedRefresh[],
): Promise<Map<number, LockWait>> {
  // Once a refresh: pg_blocking_pids() stops all others from taking locks for a moment.
  const rows = await session.query<WaitRow>(
    `with waiting as materialized (
       select w.pid, w.schema_name, w.view_name, k.locktype, k.relation, k.transactionid, pg_blocking_pids(w.pid) as blocking
         from unnest($1::int[], $2::text[], $3::text[]) as w(pid, schema_name, view_name)
         join pg_locks k on k.pid = w.pid and not k.granted)
     select k.pid as waiting, n.nspname as schema_name, c.relname as relation_name,
            coalesce(n.nspname = k.schema_name and c.relname = k.view_name, false) as is_of_view, b.*
       from waiting k
       left join pg_class c on k.locktype = 'relation' and c.oid = k.relation
       left join pg_namespace n on n.oid = c.relnamespace
       left join lateral (
         select distinct on (coalesce(l.pid, 0), p.gid) ${HOLDER_COLUMNS}
           from pg_locks l
           ${HOLDER_JOINS}
          where coalesce(l.pid, 0) = any (k.blocking)
            and (l.pid is not null
                 or l.granted and l.locktype = k.locktype and l.relation is not distinct from k.relation
                    and l.transactionid is not distinct from k.transactionid)) b on true
      order by b.transaction_age_ms desc nulls last`,
    [
      refreshes.map(({pid}) => pid),
      refreshes.map(({view}) => view.schemaName),
      refreshes.map(({view}) => view.viewName),
    ],
  )
  const waits = new Map<number, LockWait>()
  for (const row of rows) {
    const {schema_name: schemaName, relation_name: viewName} = row
    const relation = schemaName === null || viewName === null ? null : qualifiedName({schemaName, viewName})
    const wait = waits.get(row.waiting) ?? {relation, isOfView: row.is_of_view, blockers: []}
    if (row.pid !== null) wait.blockers.push(toBlocker(row))
    waits.set(row.waiting, wait)
  }
  return waits
}

/** Who holds a lock on the view, oldest transaction first. */
export async function findViewHolders(
  session: Session,
  {schemaName, viewName}: ViewName,
): Promise<Blocker[]> {
  const rows = await session.query<BlockerRow>(
    `select h.* from (
       select distinct on (coalesce(l.pid, 0), p.gid) ${HOLDER_COLUMNS}
         from pg_locks l
         join pg_class c on c.oid = l.relation
         join pg_namespace n on n.oid = c.relnamespace
         ${HOLDER_JOINS}
        where l.locktype = 'relation' and l.granted and n.nspname = $1 and c.relname = $2
          and l.database = (select d.oid from pg_database d where d.datname = current_database())
          and l.pid is distinct from pg_backend_pid()) h
      order by h.transaction_age_ms desc nulls last`,
    [schemaName, viewName],
  )
  return rows.map(toBlocker)
}
