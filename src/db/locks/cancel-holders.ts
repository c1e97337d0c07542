import {lockName} from '../../lib/identifier.ts'
import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {CanceledRefresh} from '../../lib/records/refreshes.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {lockNameOf} from '../payload.ts'
import {heldKey, isHeldKey, viewKey} from './advisory-keys.ts'

/** A session that holds the lock of a view, and whether this role may cancel its statement. */
interface Holder extends CanceledRefresh {
  may: boolean
}

interface HolderRow extends Omit<Holder, 'runningMs'> {
  running_ms: number | null
  /** Whether its statement was canceled. */
  is_sent: boolean
  /** Whether the session is that of a worker, and this statement does not see the job of the session. */
  is_between: boolean
  /** Whether the session holds the lock of this view alone. */
  is_alone: boolean
  /** The jobs that are canceled now; the same in each row. */
  job_ids: string[]
}

/** What came of an attempt to cancel what refreshes a view. */
export interface CancelAnswer {
  canceled: CanceledRefresh[]
  /** Sessions that this role may not cancel: nothing was canceled then. */
  forbidden: CanceledRefresh[]
  /** The jobs that are canceled now. */
  jobIds: string[]
  /**
   * Whether a worker is claiming a job of this view together with the end of another refresh: the claim is
   * not committed, or was committed too late for this statement. Nothing was canceled; try again.
   */
  isBetween: boolean
  /** The sessions of workers that held only the lock of this view, and whose job was not seen. */
  jobless: number[]
}

/**
 * SQL: whether this role may cancel a statement of the role `t`, whose session is `a`. Where it may not,
 * Postgres answers with an error.
 */
const MAY_CANCEL = `(select m.rolsuper from pg_roles m where m.rolname = current_user)
                or not t.rolsuper and (pg_has_role(t.oid, 'USAGE') or pg_has_role('pg_signal_backend', 'USAGE'))`

/** SQL: the liveness key in the id of the worker of the job `j`; null behind a pooler. */
const WORKER_KEY = `case when j.worker_id ~ '^ayb:[0-9a-f]{16}:' then ('x' || substr(j.worker_id, 5, 16))::bit(64)::bigint end`

/** SQL: whether a key is one of a view, not of a worker. */
const isViewKey = (key: string): string => `${key} between -2147483648 and 2147483647`

/**
 * Cancels what refreshes a view, or with `jobId` what one job does, even where its refresh has not begun. One
 * statement marks the job as canceled, so that it is not tried again, and then cancels the statement of the
 * session that holds the lock of the view: that session waits for the row of the job before it can record how
 * it ended. Where the session was first, this statement waits for the row, and the session may have begun the
 * refresh of another view by then: it is canceled only if its job is marked, and it still holds the lock of
 * the view. Nothing happens where this role may not cancel one of the sessions.
 *
 * A worker claims its next job, and takes the lock of its view, in the transaction that records the refresh
 * before: nobody sees that job before the commit, and a session that holds two locks of views is left alone.
 * `jobless` are sessions of an earlier answer: their jobs would be visible by now, so there are none.
 */
export async function cancelHolders(
  db: Database,
  view: ViewName,
  jobId: string | null = null,
  jobless: readonly number[] = [],
): Promise<CancelAnswer> {
  const {tables} = db
  const job = db.has('jobs')
    ? `select j.id, j.worker_id, j.last_run_at, ${WORKER_KEY} as worker_key
         from ${tables.jobs} j
        where j.type = '${JOB_TYPE}' and j.state = 'running' and ${lockNameOf('j')} = $1
          and ($2::uuid is null or j.id = $2)`
    : `select null::uuid as id, null::text as worker_id, null::timestamptz as last_run_at, null::bigint as worker_key
        where $2::uuid is not null and false`
  const ended = db.has('jobs')
    ? `update ${tables.jobs} j
          set state = 'canceled', canceled_at = now(), lease_until = null, worker_id = null, updated_at = now()
         from meant m
        where j.id = m.id and j.state = 'running' and j.worker_id is not distinct from m.worker_id
          and not exists (select from holder h where not h.may)
          and ($2::uuid is not null or exists (select from holder h where h."jobId" = m.id))
       returning j.id, m.worker_id, m.last_run_at`
    : 'select id, worker_id, last_run_at from meant'
  const runs = db.has('runs')
    ? `,
     run as (
       insert into ${tables.runs} (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, duration_ms, status, error)
       select $3::text, $4::text, coalesce((select r.refresh_mode from ${tables.registrations} r
                                           where r.schema_name = $3::text and r.view_name = $4::text), 'standard'),
              'schedule', e.id, e.worker_id, coalesce(e.last_run_at, now()),
              least(greatest(extract(epoch from clock_timestamp() - coalesce(e.last_run_at, now())) * 1000, 0), 2147483647)::int,
              'canceled', 'canceled by role ' || current_user
         from ended e)`
    : ''
  const locksNow = `(select coalesce(bool_or(${heldKey('l')} = ${viewKey('$1')}), false)
                                  and (h."jobId" is not null or not h.is_worker or count(*) = 1)
                             from pg_locks l
                            where ${isHeldKey('l')} and l.pid = h.pid and l.mode = 'ExclusiveLock' and ${isViewKey(heldKey('l'))})`
  const rows = await db.session.query<HolderRow>(
    `with lock as materialized (
       select l.pid, l.mode, ${heldKey('l')} as key
         from pg_locks l
        where ${isHeldKey('l')}),
     meant as materialized (${job}),
     holder as materialized (
       select coalesce(l.pid, 0) as pid, a.usename as user, nullif(a.application_name, '') as application,
              m.worker_id as "workerId", m.id as "jobId", coalesce(${MAY_CANCEL}, false) as may,
              extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.query_start))::float8 * 1000 as running_ms,
              exists (select from lock k where k.pid = l.pid and k.mode = 'ShareLock' and not ${isViewKey('k.key')}) as is_worker,
              not exists (select from lock k where k.pid = l.pid and k.mode = 'ExclusiveLock'
                             and ${isViewKey('k.key')} and k.key <> l.key) as is_alone
         from lock l
         left join pg_stat_activity a on a.pid = l.pid
         left join pg_roles t on t.oid = a.usesysid
         left join meant m on m.worker_key is null or exists (select from lock k where k.pid = l.pid and k.key = m.worker_key)
        where l.mode = 'ExclusiveLock' and l.key = ${viewKey('$1')} and ($2::uuid is null or m.id is not null)),
     ended as (${ended})${runs},
     sent as materialized (
       select h.*, case when not exists (select from holder x where not x.may) and (select count(*) from ended) >= 0 then
                     case when h."jobId" in (select e.id from ended e)
                               or h."jobId" is null and (not h.is_worker or h.pid = any ($5::int[])) then
                       case when ${locksNow} then pg_cancel_backend(h.pid) end
                     end
                   end as is_sent
         from holder h)
     select s.pid, s.user, s.application, s."workerId", s."jobId", s.may, s.running_ms, coalesce(s.is_sent, false) as is_sent,
            s."jobId" is null and s.is_worker and s.is_sent is null as is_between, s.is_alone,
            array(select id::text from ended) as job_ids
       from (select) one left join sent s on true`,
    [lockName(view), jobId, view.schemaName, view.viewName, jobless],
  )
  const jobIds = rows[0]?.job_ids ?? []
  const holders = rows.filter(({pid}) => pid !== null)
  const isForbidden = holders.some(({may}) => !may)
  const isCanceled = ({is_sent, jobId: id}: HolderRow) => is_sent || (id !== null && jobIds.includes(id))
  const between = isForbidden ? [] : holders.filter(({is_between}) => is_between)
  return {
    isBetween: between.length > 0,
    jobless: between.filter(({is_alone}) => is_alone).map(({pid}) => pid),
    canceled: isForbidden ? [] : holders.filter(isCanceled).map(withoutRights),
    forbidden: isForbidden ? holders.map(withoutRights) : [],
    jobIds,
  }
}

const withoutRights = ({pid, user, application, workerId, jobId, running_ms}: HolderRow) => ({
  ...{pid, user, application, workerId, jobId},
  runningMs: running_ms === null ? null : Math.round(running_ms),
})
