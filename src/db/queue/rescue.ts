import {JOB_TYPE} from '../../lib/records/jobs.ts'
import {isAhead, millisecondsUntil} from '../instant.ts'
import {heldKey, isHeldKey, viewKey} from '../locks/advisory-keys.ts'
import {AWAKE} from '../locks/liveness.ts'
import {lockNameOf, readablePayload, viewInPayload} from '../payload.ts'
import type {TableNames} from '../system.ts'
import {isCalledOff} from './fence.ts'

/** SQL: the view of a rescued job, whose payload is readable. */
const VIEW_OF_RESCUED = viewInPayload('e.payload')

/** SQL: the liveness key in a worker's id; null for a worker behind a pooler, and for other programs. */
const KEY_HEX = `case when j.worker_id ~ '^ayb:[0-9a-f]{16}:' then substr(j.worker_id, 5, 16) end`

/**
 * SQL: whether a worker's id has a key of the polling worker: a key that its sessions hold, or a name behind
 * a pooler.
 */
const IS_OWN = `coalesce(substring(j.worker_id from '^ayb:(?:pooled-)?([0-9a-f]{16}):') = any ($2::text[]), false)`

/**
 * SQL: the payload under that alias names a view that could exist. A payload can hold a megabyte of other
 * text.
 */
const namesPossibleView = (alias: string): string =>
  `(length(${viewInPayload(`${alias}.payload`).schema}) <= 63 and length(${viewInPayload(`${alias}.payload`).view}) <= 63)`

/** SQL: how long a claim may take until its answer has reached the worker. */
const FRESH = "interval '5 s'"

/**
 * SQL: whether a claim at this instant is fresh. Instants in the future are not: a person can write any
 * instant.
 */
const isFresh = (instant: string): string => `${instant} between now() - ${FRESH} and now() + ${FRESH}`

/**
 * SQL: a session of the worker of a late job `x` holds the lock of the view, and has been idle for five
 * seconds. A stopped process leaves such sessions behind: in one transaction, each ended a refresh, claimed
 * the next job and took the lock of its view, and the client does not read the answer.
 */
const IS_STUCK = `exists (
                select from held v join held k on k.pid = v.pid cross join lateral pg_stat_get_activity(v.pid) a
                 where v.key = x.view_key and k.key = x.worker_key
                   and a.state = 'idle' and a.state_change < clock_timestamp() - interval '5 s')`

/**
 * SQL: all sessions that are left of the worker of a job `x` are sessions that endWorkers spares, because
 * each has been refreshing a view for a while. None of them works on the job: the session would hold the lock
 * of its view.
 */
const HAS_ONLY_REFRESHES = `not exists (
                select from held k left join lateral pg_stat_get_activity(k.pid) a on true
                 where k.key = x.worker_key
                   and (a.state = 'active' and a.query_start < clock_timestamp() - ${AWAKE}
                        and exists (select from held v where v.pid = k.pid and v.key between -2147483648 and 2147483647)) is not true)`

/** SQL: a common table expression of the running jobs, with the lower bound for leases in $4. */
export const runningJobs = ({jobs}: TableNames): string =>
  `running as materialized (
       (select j.id, j.payload, j.worker_id, j.attempts, j.lease_until, j.last_run_at
          from ${jobs} j
         where j.state = 'running' and j.type = '${JOB_TYPE}' and j.lease_until >= $4::timestamptz
         order by j.lease_until)
        union all
       (select j.id, j.payload, j.worker_id, j.attempts, j.lease_until, j.last_run_at
          from ${jobs} j
         where j.state = 'running' and j.type = '${JOB_TYPE}' and j.lease_until is null
         order by j.state, j.lease_until))`

/** SQL: a queued job under alias `j` that has no attempt left. */
const IS_SPENT = `j.state = 'queued' and j.type = '${JOB_TYPE}' and j.attempts >= j.max_attempts and j.run_at <= now()`

/**
 * SQL: whether `rescueLostJobs` may find anything to do: a job runs that the polling worker does not have in
 * hand, or a queued job has no attempt left. Parameters as there. The order has the server read the same index
 * as `spent` does; in an EXISTS the server drops the order.
 */
export const mayHaveLostJobs = ({jobs}: TableNames): string =>
  `(exists (select from running j where not (${IS_OWN} and j.id = any ($3::uuid[])))
              or (select true from ${jobs} j where ${IS_SPENT} order by j.run_at limit 1) is not null)`

/**
 * SQL: the common table expressions of a poll that rescue the jobs of dead workers, and fail queued jobs
 * without an attempt left. Parameters: $2 has the keys of the polling worker, $3 the ids of its jobs in hand,
 * $4 the lower bound for leases.
 *
 * A worker is dead when nobody holds its key. A worker without a key is dead when the lease is over. While
 * the view of a job is locked, somebody works on the job, except when an idle session of a stopped worker
 * holds the lock. When the lease of a worker is over that still holds its key, its sessions have to be ended
 * first (endWorkers), except sessions that refresh a view.
 *
 * A job with the polling worker's own key that is not in hand has lost the answer to its claim, or could not
 * be settled: it is rescued, too. A fresh claim is left alone, because its answer may still be on the way.
 *
 * `state || ''` keeps the planner from reading all running jobs again: the dead jobs are looked up by their
 * ids. When another session holds the row of a registration, the status there stays as it is: two polls that
 * rescued jobs of the same views once locked the rows in different orders, and one poll died of a deadlock.
 */
export const rescueLostJobs = (tables: TableNames): string => {
  const {jobs, registrations, runs} = tables
  return `${runningJobs(tables)},
     held as materialized (
       select ${heldKey('l')} as key, l.pid
         from pg_locks l
        where ${isHeldKey('l')}),
     suspect as materialized (
       select x.id, x.worker_id, x.attempts, x.key_hex, x.is_late, x.is_key_held, x.is_own,
              x.is_late and x.is_key_held and ${HAS_ONLY_REFRESHES} as is_given_up
         from (select j.id, j.worker_id, j.attempts, ${KEY_HEX} as key_hex, j.lease_until is null or j.lease_until < now() or j.lease_until >= '10000-01-01' as is_late,
                      case when ${KEY_HEX} is not null then ('x' || (${KEY_HEX}))::bit(64)::bigint in (select key from held) end as is_key_held,
                      case when ${KEY_HEX} is not null then ('x' || (${KEY_HEX}))::bit(64)::bigint end as worker_key,
                      ${IS_OWN} as is_own,
                      coalesce(${isFresh('j.last_run_at')}, false) as is_fresh,
                      coalesce(${viewKey(lockNameOf('j'))} in (select key from held), false) as is_locked,
                      ${viewKey(lockNameOf('j'))} as view_key
                 from running j) x
        where (not x.is_locked or x.is_late and x.is_key_held and ${IS_STUCK}) and (x.is_late or x.is_key_held is false or x.is_own)
          and not (x.is_own and (x.id = any ($3::uuid[]) or x.is_fresh))),
     dead as materialized (
       select j.id, x.worker_id, x.is_own from suspect x cross join lateral (
         select j.id from ${jobs} j
          where j.id = x.id and j.state || '' = 'running'
            and j.worker_id is not distinct from x.worker_id and j.attempts = x.attempts
            for no key update skip locked) j
        where x.is_own or x.is_key_held is not true or x.is_given_up
        limit 500),
     rescued as (
       update ${jobs} j
          set state = case when j.attempts < j.max_attempts and not ${isCalledOff(tables, 'null')} then 'queued' else 'failed' end,
              run_at = case when j.attempts < j.max_attempts then now() else j.run_at end,
              last_error = case when dead.is_own then 'the claim or the end of this attempt was lost'
                                else 'worker ' || coalesce(j.worker_id, '?') || ' died or lost its lease' end,
              lease_until = null, worker_id = null, updated_at = now()
         from dead
        where j.id = any (array(select id from dead)) and j.id = dead.id
       returning j.id, j.state, j.attempts, ${readablePayload('j.payload')} as payload, j.last_error, j.last_run_at, dead.worker_id, dead.is_own),
     named as materialized (
       select e.*, ${VIEW_OF_RESCUED.schema} as schema_name, ${VIEW_OF_RESCUED.view} as view_name,
              r.id as registration_id, r.refresh_mode
         from rescued e left join lateral (
           select r.id, r.refresh_mode from ${registrations} r
            where r.schema_name = ${VIEW_OF_RESCUED.schema} and r.view_name = ${VIEW_OF_RESCUED.view}
           offset 0) r on true),
     died as (
       insert into ${runs} (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, status, error)
       select e.schema_name, e.view_name, coalesce(e.refresh_mode, 'standard'),
              'schedule', e.id, e.worker_id, coalesce(e.last_run_at, now()), 'error', e.last_error
         from named e
        where ${namesPossibleView('e')}),
     hurt as materialized (
       select r.id, e.last_error
         from named e, ${registrations} r
        where r.id = any (array(select registration_id from named)) and r.id = e.registration_id
          and (r.last_refresh_at is null or r.last_refresh_at <= e.last_run_at or ${isAhead('r.last_refresh_at')})
          for no key update of r skip locked),
     told as (
       update ${registrations} r
          set last_refresh_at = now(), last_refresh_status = 'error', last_refresh_error = hurt.last_error, updated_at = now()
         from hurt
        where r.id = any (array(select id from hurt)) and r.id = hurt.id),
     spent as materialized (
       select j.id from ${jobs} j
        where ${IS_SPENT}
        order by j.run_at
        limit 500
          for no key update skip locked),
     exhausted as (
       update ${jobs} j
          set state = 'failed', last_error = coalesce(j.last_error, 'worker died; no attempts left'), updated_at = now()
        where j.id = any (array(select id from spent))
       returning j.id)`
}

/** SQL: the rescued jobs as JSON, each a RescuedJob. */
export const RESCUED = `(select json_agg(json_build_object('jobId', e.id, 'state', e.state, 'attempt', e.attempts, 'workerId', e.worker_id, 'isOwn', e.is_own,
                                               'view', case when ${namesPossibleView('e')} then ${lockNameOf('e')} end)) from rescued e)`

/** SQL: the keys of other workers that hold a job past its lease without working on it. */
export const FROZEN = `(select json_agg(distinct x.key_hex) from suspect x where x.is_late and x.is_key_held and not x.is_own and not x.is_given_up)`

/** SQL: milliseconds until a fresh job of the polling worker counts as lost. */
export const OWN_FRESH_MS = `(select ${millisecondsUntil(`max(j.last_run_at) + ${FRESH}`)} from running j
              where ${IS_OWN} and not j.id = any ($3::uuid[]) and ${isFresh('j.last_run_at')}
             having count(*) > 0)`
