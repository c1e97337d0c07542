import {presentable} from '../lib/outside-text.ts'
import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {LiveWorker} from '../lib/records/workers.ts'
import type {Database} from './database.ts'
import {isoInstant} from './instant.ts'
import {heldKey, isHeldKey} from './locks/advisory-keys.ts'
import {readablePayload, viewInPayload} from './payload.ts'

/** What a worker tells of itself. Durations in milliseconds. */
export interface WorkerFacts {
  id: string
  host: string
  pid: number
  version: string
  slots: number
  pollIntervalMs: number
  isPooled: boolean
  /** Since its start. */
  uptimeMs: number
}

/** Writes down that a worker is alive. */
export async function noteWorker(db: Database, worker: WorkerFacts): Promise<void> {
  if (!db.mayWrite('workers')) return
  await db.session.query(
    `insert into ${db.tables.workers} as w
            (id, host, pid, version, slots, poll_interval_ms, is_pooled, started_at, last_seen_at)
     values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() - $8::float8 * interval '1 ms', clock_timestamp())
         on conflict (id) do update
        set slots = excluded.slots, poll_interval_ms = excluded.poll_interval_ms, is_pooled = excluded.is_pooled,
            last_seen_at = excluded.last_seen_at`,
    [
      worker.id,
      worker.host,
      worker.pid,
      worker.version,
      worker.slots,
      worker.pollIntervalMs,
      worker.isPooled,
      worker.uptimeMs,
    ],
  )
}

/** Forgets a worker that ends. */
export async function forgetWorker(db: Database, id: string): Promise<void> {
  if (!db.mayWrite('workers')) return
  await db.session.query(`delete from ${db.tables.workers} w where w.id = $1`, [id])
}

/** Deletes up to `limit` workers that have been dead for a while. */
export async function deleteDeadWorkers(db: Database, limit: number): Promise<void> {
  if (!db.mayWrite('workers')) return
  const {session, tables} = db
  await session.query(
    `with ${liveWorkers(db)},
     dead as materialized (
       select w.id from ${tables.workers} w
        where w.id not in (select id from live)
          and w.last_seen_at not between clock_timestamp() - interval '10 min' and clock_timestamp() + interval '1 hour'
        limit $1
          for update skip locked)
     delete from ${tables.workers} w using dead where w.id = dead.id`,
    [limit],
  )
}

/** SQL: the liveness key in the id of the worker under that alias; null behind a pooler. */
const keyOf = (alias: string): string =>
  `case when ${alias}.id ~ '^ayb:[0-9a-f]{16}:' then ('x' || substr(${alias}.id, 5, 16))::bit(64)::bigint end`

/** SQL: part of a WITH: the advisory locks that somebody holds in this database. */
const HELD = `held as materialized (
       select ${heldKey('l')} as key, l.pid, l.mode
         from pg_locks l
        where ${isHeldKey('l')})`

/**
 * SQL: parts of a WITH. `live` holds the workers that have lately said that they live, and whose key somebody
 * holds. Behind a pooler nobody holds a key. A frozen worker holds its key, and says nothing.
 */
const liveWorkers = ({tables}: Database): string => `${HELD},
     live as materialized (
       select w.* from ${tables.workers} w
        where w.last_seen_at > clock_timestamp() - interval '1 min' - ${pollInterval('w')} * interval '2 ms'
          and w.last_seen_at < clock_timestamp() + interval '1 hour'
          and (w.is_pooled or ${keyOf('w')} in (select key from held)))`

/** SQL: the poll interval of a worker in milliseconds. Any program may have written the row. */
const pollInterval = (alias: string): string => `least(greatest(${alias}.poll_interval_ms, 0), 86400000)`

interface WorkerRow extends Omit<LiveWorker, 'busy' | 'refreshes'> {
  refreshes: LiveWorker['refreshes'] | null
}

/** The workers that are alive, the oldest first. Sees none on a standby. */
export async function listWorkers(db: Database): Promise<LiveWorker[]> {
  if (!db.mayRead('workers')) return []
  const view = viewInPayload(readablePayload('j.payload'))
  const refreshes = db.has('jobs')
    ? `(select json_agg(json_build_object('schemaName', ${view.schema}, 'viewName', ${view.view}, 'jobId', j.id,
                                          'startedAt', ${isoInstant('j.last_run_at')}) order by j.last_run_at, j.id)
          from ${db.tables.jobs} j
         where j.state = 'running' and j.type = '${JOB_TYPE}' and j.worker_id = w.id)`
    : 'null::json'
  const rows = await db.session.query<WorkerRow>(
    `with ${liveWorkers(db)}
     select w.id, w.host, w.pid, w.version, ${isoInstant('w.started_at')} as "startedAt",
            ${isoInstant('w.last_seen_at')} as "lastSeenAt", w.slots, w.is_pooled as pooled, ${refreshes} as refreshes
       from live w
      order by w.started_at, w.id collate "C"`,
  )
  return rows.map(({slots, pooled, refreshes: running, ...row}) => {
    const refreshes = running ?? []
    return {
      ...row,
      host: presentable(row.host),
      version: presentable(row.version),
      slots,
      busy: refreshes.length,
      pooled,
      refreshes,
    }
  })
}

/**
 * How many workers are alive. Workers of older programs are not listed, but count, since they hold a key.
 * Sees none on a standby.
 */
export async function countWorkers(db: Database): Promise<number> {
  const live = db.mayRead('workers')
    ? liveWorkers(db)
    : `${HELD}, live as (select null::text as id where false)`
  const [row] = await db.session.query<{workers: number}>(
    `with ${live}
     select (select count(*) from live)::int
            + (select count(distinct h.key)
                 from held h
                 join pg_stat_activity a on a.pid = h.pid
                where h.mode = 'ShareLock' and h.key not between -2147483648 and 2147483647
                  and a.application_name like 'ayb %'
                  and h.key not in (select key from (select ${keyOf('w')} as key from live w) k where key is not null))::int as workers`,
  )
  return row?.workers ?? 0
}

/** The longest poll interval of the workers that are alive, in milliseconds; 0 where none is known. */
export async function longestPollInterval(db: Database): Promise<number> {
  if (!db.mayRead('workers')) return 0
  const [row] = await db.session.query<{ms: number}>(
    `with ${liveWorkers(db)}
     select coalesce(max(${pollInterval('w')}), 0)::float8 as ms from live w`,
  )
  return row?.ms ?? 0
}
