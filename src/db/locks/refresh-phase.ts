import type {RefreshPhase} from '../../lib/refresh-events.ts'
import type {Session} from '../session.ts'
import type {WatchedRefresh} from './lock-waits.ts'

interface PhaseRow {
  has_transient: boolean
  is_analyzed: boolean
  is_merging: boolean
  indexes_done: number
  indexes: number
  analyzed: number | null
}

/**
 * What a backend that refreshes a view does at the moment; null where that does not show. Postgres shows no
 * progress of REFRESH, so its locks tell. The new content goes into a relation that no other session sees in
 * pg_class. A standard refresh then locks the indexes of the view one by one, to build them. A concurrent
 * refresh analyzes the new content, compares it with the view, and locks the view once more to change it.
 */
export async function findRefreshPhase(
  session: Session,
  {pid, view}: WatchedRefresh,
): Promise<RefreshPhase | null> {
  const [row] = await session.query<PhaseRow>(
    `with v as materialized (
       select c.oid
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = $2 and c.relname = $3),
     k as materialized (
       select l.relation, l.mode
         from pg_locks l
        where l.pid = $1 and l.granted and l.locktype = 'relation'
          and l.database = (select d.oid from pg_database d where d.datname = current_database()))
     select coalesce(bool_or(c.oid is null), false) as has_transient,
            coalesce(bool_or(c.oid is null and k.mode = 'ShareUpdateExclusiveLock'), false) as is_analyzed,
            coalesce(bool_or(k.relation = v.oid and k.mode = 'RowExclusiveLock'), false) as is_merging,
            (count(distinct i.indexrelid) filter (where k.mode = 'AccessExclusiveLock'))::int as indexes_done,
            (select count(*) from pg_index x where x.indrelid = (select v.oid from v))::int as indexes,
            (select 100.0 * p.sample_blks_scanned / nullif(p.sample_blks_total, 0)
               from pg_stat_progress_analyze p where p.pid = $1)::float8 as analyzed
       from k
       left join v on true
       left join pg_class c on c.oid = k.relation
       left join pg_index i on i.indexrelid = k.relation and i.indrelid = v.oid`,
    [pid, view.schemaName, view.viewName],
  )
  if (!row?.has_transient) return null
  if (row.is_merging) return {name: 'merge'}
  if (row.indexes_done > 0) return {name: 'index', number: row.indexes_done, total: row.indexes}
  if (row.analyzed !== null) return {name: 'analyze', percent: Math.floor(row.analyzed)}
  return row.is_analyzed ? {name: 'compare'} : {name: 'query'}
}
