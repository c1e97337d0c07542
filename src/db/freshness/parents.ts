import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {exactMilliseconds, numberOf} from '../instant.ts'
import {ROUNDING_MS, runsOf} from './history.ts'

/**
 * A parent, the end of its last success, and the moment whose data of the parent a view holds. The view is
 * known by its place.
 */
interface ReadParent extends ViewName {
  place: number
  readAtMs: number
  endedAtMs: number
}

/**
 * Which views have missed a refresh of a parent that ended at least so long ago, by their places, with the
 * end of the first such refresh in milliseconds since 1970. Of the refreshes by an AYB server, which writes
 * no history, only the last one is known.
 */
export async function missedRefreshes(
  db: Database,
  parents: readonly ReadParent[],
  agoMs: number,
): Promise<Map<number, number>> {
  const run = `select h.started_at + h.duration_ms * interval '1 ms' as ended_at from ${runsOf(db)} h
                 where h.schema_name = p.schema_name and h.view_name = p.view_name
                   and h.status = 'success' and h.duration_ms is not null`
  const rows = await db.session.query<{place: number; ended_ms: string}>(
    `with parent as (
       select p.place, p.schema_name, p.view_name, to_timestamp(p.ended_ms / 1000) as ended_at,
              to_timestamp(p.read_ms / 1000) + ${ROUNDING_MS} * interval '1 ms' as read_at
         from unnest($1::int[], $2::text[], $3::text[], $4::float8[], $5::float8[])
              p(place, schema_name, view_name, read_ms, ended_ms))
     select p.place, ${exactMilliseconds('min(h.ended_at)')} as ended_ms
       from parent p
      cross join lateral (
              -- Refreshes of one view do not overlap: the first one that ended later is one of these.
              (${run} and h.started_at <= p.read_at order by h.started_at desc limit 1)
               union all
              (${run} and h.started_at > p.read_at order by h.started_at limit 1)
               union all
              select p.ended_at) h
      where h.ended_at > p.read_at
      group by p.place
     having min(h.ended_at) < clock_timestamp() - $6 * interval '1 ms'`,
    [
      parents.map(({place}) => place),
      parents.map(({schemaName}) => schemaName),
      parents.map(({viewName}) => viewName),
      parents.map(({readAtMs}) => String(readAtMs)),
      parents.map(({endedAtMs}) => String(endedAtMs)),
      agoMs,
    ],
  )
  return new Map(rows.map(({place, ended_ms}) => [place, Number(ended_ms)]))
}

/** A view whose data is computed from other materialized views. */
export interface ComputedView extends ViewName {
  isRegistered: boolean
  lastSuccessStartedAtMs: number | null
  /** Places in the list. */
  parents: readonly number[]
}

/**
 * The time that the data of each view shows which reads other views, in milliseconds since 1970, by the place
 * of the view. The last success of a view has read a success of each view below: the time is that of the
 * earliest start among all of these. Null where the history lacks a success. Takes no cycles.
 */
export async function oldestInputs(
  db: Database,
  views: readonly ComputedView[],
): Promise<Map<number, number | null>> {
  const edges = views.flatMap(({parents}, child) => parents.map((parent) => ({child, parent})))
  if (edges.length === 0) return new Map()
  const rows = await db.session.query<{root: number; as_of_ms: string | null}>(
    `with recursive edge as materialized (
       select * from unnest($1::int[], $2::int[]) e(child, parent)),
     view as materialized (
       select v.*, (v.place - 1)::int as id
         from unnest($3::text[], $4::text[], $5::bool[], $6::float8[])
              with ordinality v(schema_name, view_name, is_registered, started_ms, place)),
     walk(root, id, started_at) as (
       select v.id, v.id, to_timestamp(v.started_ms / 1000)
         from view v
        where v.started_ms is not null and exists (select from edge e where e.child = v.id)
        union
       select w.root, e.parent, h.started_at
         from walk w
         join edge e on e.child = w.id
         join view v on v.id = e.parent
         left join lateral (
                select h.started_at from ${runsOf(db)} h
                 where v.is_registered and h.schema_name = v.schema_name and h.view_name = v.view_name
                   and h.status = 'success' and h.started_at <= w.started_at
                   and h.started_at + h.duration_ms * interval '1 ms' <= w.started_at + ${ROUNDING_MS} * interval '1 ms'
                 order by h.started_at desc
                 limit 1) h on true
        where w.started_at is not null)
     select w.root,
            case when bool_and(w.started_at is not null)
                 then ${exactMilliseconds('min(w.started_at)')} end as as_of_ms
       from walk w
      group by w.root`,
    [
      edges.map(({child}) => child),
      edges.map(({parent}) => parent),
      views.map(({schemaName}) => schemaName),
      views.map(({viewName}) => viewName),
      views.map(({isRegistered}) => String(isRegistered)),
      views.map(({lastSuccessStartedAtMs: ms}) => (ms === null ? null : String(ms))),
    ],
  )
  return new Map(rows.map(({root, as_of_ms}) => [root, numberOf(as_of_ms)]))
}
