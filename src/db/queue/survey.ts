import {JOB_TYPE} from '../../lib/records.ts'
import type {Database} from '../database.ts'
import {exactInstant, isAhead} from '../instant.ts'
import {AWAKE} from '../locks/liveness.ts'
import {readablePayload} from '../payload.ts'
import {lockNameOf} from './claims.ts'
import {exceptTimings, HAS_TIME, type ScheduleTiming} from './due.ts'
import {isCalledOff} from './settle.ts'

/** A job whose worker was found dead. */
interface RecoveredJob {
  id: string
  /** Queued again, or failed where no attempt is left or its schedule was disabled meanwhile. */
  state: 'queued' | 'failed'
  attempt: number
  workerId: string | null
  /** Whether it was the surveyor's own. */
  isOwn: boolean
  /** schema.view, as the payload has it; null where it names none that could exist. */
  view: string | null
}

/** What a worker learns in one look, which also tidies up after dead ones. */
export interface Survey {
  recovered: RecoveredJob[]
  /** Jobs that were queued with no attempt left, and are failed now. */
  exhausted: number
  /** The keys of other workers that hold a job past its lease without working on it, as 16 hex digits. */
  frozenWorkers: string[]
  /** Whether a job may be claimed now. */
  hasClaimable: boolean
  /** When the oldest due job was due, of a busy view too, to the microsecond; null where there is none, or it is not known. */
  oldestDue: string | null
  /** How old a job may be that is due and not of a busy view, as `SurveyBounds` has it. */
  freeFrom: string
  /** When the next schedule is due, to the microsecond; null where there is none. */
  nextScheduleAt: string | null
  /** Where the next look may begin. */
  bounds: SurveyBounds
  /** How long until a job of the surveyor counts as lost that may only have been claimed a moment ago; null without one. */
  ownFreshInMs: number | null
  /** In milliseconds from now; 0 for one that is due, null where there is none. */
  nextScheduleInMs: number | null
  nextJobInMs: number | null
}

/**
 * Lower bounds for the times of rows that matter, each to the microsecond. Behind an old snapshot, the index entries of
 * what was done since stay where they are: without these, each look reads the traces of hours (240,000 jobs: 1.7 s). A
 * minute behind the clock at the latest, since a time is computed before it is committed.
 */
export interface SurveyBounds {
  leases: string
  jobs: string
  schedules: string
}

interface SurveyRow {
  recovered:
    | {
        id: string
        state: 'queued' | 'failed'
        attempt: number
        worker_id: string | null
        is_own: boolean
        view: string | null
      }[]
    | null
  exhausted: number
  frozen: string[] | null
  has_claimable: boolean
  oldest_due: string | null
  free_from: string
  next_schedule_at: string | null
  leases_from: string
  jobs_from: string
  schedules_from: string
  own_fresh_ms: number | null
  next_schedule_ms: number | null
  next_job_ms: number | null
}

/** SQL: the liveness key in a worker's id; null in that of one behind a pooler, and of another program's. */
const KEY_HEX = `case when j.worker_id ~ '^ayb:[0-9a-f]{16}:' then substr(j.worker_id, 5, 16) end`

/** SQL: whether a key of the surveyor is in a worker's id, be it one that its sessions hold or, behind a pooler, a name alone. */
const IS_OWN = `coalesce(substring(j.worker_id from '^ayb:(?:pooled-)?([0-9a-f]{16}):') = any ($2::text[]), false)`

/** SQL: the payload under that alias names a view that could exist; it may as well hold a megabyte. */
const namesPossibleView = (alias: string): string =>
  `(length(coalesce(${alias}.payload->>'schema', 'public')) <= 63 and length(${alias}.payload->>'view_name') <= 63)`

/** SQL: how long a claim may take to be committed, answered and taken note of. */
const FRESH = "interval '5 s'"

/** SQL: whether an instant is as that of a claim a moment ago. Anybody can have written one that is never over. */
const isFresh = (instant: string): string => `${instant} between now() - ${FRESH} and now() + ${FRESH}`

/**
 * SQL: the lock of the view of a late job `x` is held by a session of its worker that has had nothing to do for five
 * seconds. A worker that is stopped leaves such sessions behind: each ended a refresh, claimed the next job and took the
 * lock of its view, in one transaction, for a client that does not read the answer.
 */
const IS_STUCK = `exists (
                select from held v join held k on k.pid = v.pid cross join lateral pg_stat_get_activity(v.pid) a
                 where v.key = x.view_key and k.key = x.worker_key
                   and a.state = 'idle' and a.state_change < clock_timestamp() - interval '5 s')`

/**
 * SQL: all that is left of the worker of a job `x` are sessions that endWorkers spares, since each has been refreshing
 * a view for a while. None works on the job, whose view they would hold.
 */
const HAS_ONLY_REFRESHES = `not exists (
                select from held k left join lateral pg_stat_get_activity(k.pid) a on true
                 where k.key = x.worker_key
                   and (a.state = 'active' and a.query_start < clock_timestamp() - ${AWAKE}
                        and exists (select from held v where v.pid = k.pid and v.key between -2147483648 and 2147483647)) is not true)`

/** The worker that looks, whose key and jobs need no proof of life. */
export interface Surveyor {
  /** Its key, and those that it had before it lost all sessions: jobs that it has in hand still bear them. */
  keys: readonly string[]
  /** The jobs that it has in hand. */
  jobIds: readonly string[]
}

/** SQL: an instant as a bound, a minute behind the clock at the latest. */
const boundAt = (...instants: string[]): string => {
  const least = `least(${[...instants, "now() - interval '1 min'"].join(', ')})`
  return `case when ${least} >= '0001-01-02' then ${exactInstant(least)} else '-infinity' end`
}

const millisecondsUntil = (instant: string): string =>
  `greatest(extract(epoch from ${instant} - clock_timestamp()) * 1000, 0)::float8`

/**
 * One statement, so that an idle worker costs one transaction a poll: fails what has no attempt left, takes back the
 * jobs of dead workers, and tells when there is work next. A worker is dead when nobody holds its key; or, for those
 * without one, when the lease is over. A job whose view is locked is being worked on whatever its worker's state. The
 * lease of a worker that still holds its key ends nothing by itself: first its sessions have to be ended (endWorkers),
 * but for those that refresh a view. A lock that a stopped worker's idle session holds is no work either.
 * A job under the surveyor's own key that it does not have in hand was claimed by an answer that never arrived, or
 * could not be settled: nobody works on it either. Unless it is fresh: then the answer to its claim, which another session
 * may have made, may still be on its way. (`state || ''` keeps the planner from reading all running jobs once more: those
 * in question are looked up by their ids.) Where another session holds the row of a registration, its status stays as it
 * is: two looks that took back jobs of the same views locked the rows in different orders, and one died of a deadlock.
 */
export async function survey(
  db: Database,
  options: {
    surveyor: Surveyor
    busyViews: readonly string[]
    unreadable: readonly ScheduleTiming[]
    /** Where to begin; everywhere without it. */
    from?: SurveyBounds | null
    /** Before then, all jobs that are due are of busy views. */
    freeFrom?: string | null
  },
): Promise<Survey> {
  const {jobs, registrations, runs, schedules} = db.tables
  const {keys, jobIds} = options.surveyor
  const except = exceptTimings(8, options.unreadable)
  const rows = await db.session.query<SurveyRow>(
    `with held as materialized (
       select (l.classid::bigint << 32) | l.objid::bigint as key, l.pid
         from pg_locks l
        where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
          and l.database = (select d.oid from pg_database d where d.datname = current_database())),
     running as materialized (
       (select j.id, j.payload, j.worker_id, j.attempts, j.lease_until, j.last_run_at
          from ${jobs} j
         where j.state = 'running' and j.type = '${JOB_TYPE}' and j.lease_until >= $4::timestamptz
         order by j.lease_until)
        union all
       (select j.id, j.payload, j.worker_id, j.attempts, j.lease_until, j.last_run_at
          from ${jobs} j
         where j.state = 'running' and j.type = '${JOB_TYPE}' and j.lease_until is null
         order by j.state, j.lease_until)),
     suspect as materialized (
       select x.id, x.worker_id, x.attempts, x.key_hex, x.is_late, x.is_key_held, x.is_own,
              x.is_late and x.is_key_held and ${HAS_ONLY_REFRESHES} as is_given_up
         from (select j.id, j.worker_id, j.attempts, ${KEY_HEX} as key_hex, j.lease_until is null or j.lease_until < now() or j.lease_until >= '10000-01-01' as is_late,
                      case when ${KEY_HEX} is not null then ('x' || (${KEY_HEX}))::bit(64)::bigint in (select key from held) end as is_key_held,
                      case when ${KEY_HEX} is not null then ('x' || (${KEY_HEX}))::bit(64)::bigint end as worker_key,
                      ${IS_OWN} as is_own,
                      coalesce(${isFresh('j.last_run_at')}, false) as is_fresh,
                      coalesce(hashtext(${lockNameOf('j')})::bigint in (select key from held), false) as is_locked,
                      hashtext(${lockNameOf('j')})::bigint as view_key
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
     recovered as (
       update ${jobs} j
          set state = case when j.attempts < j.max_attempts and not ${isCalledOff(db.tables, 'null')} then 'queued' else 'failed' end,
              run_at = case when j.attempts < j.max_attempts then now() else j.run_at end,
              last_error = case when dead.is_own then 'the claim or the end of this attempt was lost'
                                else 'worker ' || coalesce(j.worker_id, '?') || ' died or lost its lease' end,
              lease_until = null, worker_id = null, updated_at = now()
         from dead
        where j.id = any (array(select id from dead)) and j.id = dead.id
       returning j.id, j.state, j.attempts, ${readablePayload('j.payload')} as payload, j.last_error, j.last_run_at, dead.worker_id, dead.is_own),
     named as materialized (
       select e.*, coalesce(e.payload->>'schema', 'public') as schema_name, e.payload->>'view_name' as view_name,
              r.id as registration_id, r.refresh_mode
         from recovered e left join lateral (
           select r.id, r.refresh_mode from ${registrations} r
            where r.schema_name = coalesce(e.payload->>'schema', 'public') and r.view_name = e.payload->>'view_name'
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
        where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.attempts >= j.max_attempts and j.run_at <= now()
        order by j.run_at
        limit 500
          for no key update skip locked),
     exhausted as (
       update ${jobs} j
          set state = 'failed', last_error = coalesce(j.last_error, 'worker died; no attempts left'), updated_at = now()
        where j.id = any (array(select id from spent))
       returning j.id)
     select (select json_agg(json_build_object('id', e.id, 'state', e.state, 'attempt', e.attempts, 'worker_id', e.worker_id, 'is_own', e.is_own,
                                               'view', case when ${namesPossibleView('e')} then ${lockNameOf('e')} end)) from recovered e) as recovered,
            (select count(*)::int from exhausted) as exhausted,
            (select json_agg(distinct x.key_hex) from suspect x where x.is_late and x.is_key_held and not x.is_own and not x.is_given_up) as frozen,
            coalesce(oldest.is_free, false) or free.run_at is not null as has_claimable,
            case when oldest.run_at >= '0001-01-02' then ${exactInstant('oldest.run_at')}
                 when oldest.run_at is not null then '-infinity' end as oldest_due,
            ${boundAt('case when oldest.is_free then oldest.run_at else free.run_at end')} as free_from,
            ${exactInstant('earliest.next_run_at')} as next_schedule_at,
            ${boundAt('(select min(lease_until) from running)')} as leases_from,
            ${boundAt('oldest.run_at', 'earliest.next_run_at')} as jobs_from,
            ${boundAt('earliest.next_run_at')} as schedules_from,
            (select ${millisecondsUntil(`max(j.last_run_at) + ${FRESH}`)} from running j
              where ${IS_OWN} and not j.id = any ($3::uuid[]) and ${isFresh('j.last_run_at')}
             having count(*) > 0) as own_fresh_ms,
            case when earliest.next_run_at is not null then ${millisecondsUntil('earliest.next_run_at')} end as next_schedule_ms,
            (select ${millisecondsUntil('j.run_at')} from ${jobs} j
              where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at > now() and isfinite(j.run_at) and j.attempts < j.max_attempts
                and coalesce(${lockNameOf('j')} <> all ($1::text[]), true)
              order by j.run_at limit 1) as next_job_ms
       from (select) as one
       left join lateral (
         select j.run_at, coalesce(${lockNameOf('j')} <> all ($1::text[]), true) as is_free
           from ${jobs} j
          where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= now() and j.run_at >= $5::timestamptz
            and j.attempts < j.max_attempts
          order by j.run_at limit 1) as oldest on true
       left join lateral (
         select j.run_at from ${jobs} j
          where not oldest.is_free
            and j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= now()
            and j.run_at >= greatest(oldest.run_at, $7::timestamptz)
            and j.attempts < j.max_attempts and coalesce(${lockNameOf('j')} <> all ($1::text[]), true)
          order by j.run_at limit 1) as free on true
       left join lateral (
         select s.next_run_at from ${schedules} s
          where s.enabled and s.job_type = '${JOB_TYPE}' and ${HAS_TIME} and s.next_run_at >= $6::timestamptz ${except.sql}
          order by s.next_run_at limit 1) as earliest on true`,
    [
      options.busyViews,
      keys,
      jobIds,
      options.from?.leases ?? '-infinity',
      options.from?.jobs ?? '-infinity',
      options.from?.schedules ?? '-infinity',
      options.freeFrom ?? null,
      ...except.values,
    ],
  )
  const row = rows[0] as SurveyRow
  const recovered = (row.recovered ?? []).map((job) => ({
    id: job.id,
    state: job.state,
    attempt: job.attempt,
    workerId: job.worker_id,
    isOwn: job.is_own,
    view: job.view,
  }))
  return {
    recovered,
    exhausted: row.exhausted,
    frozenWorkers: row.frozen ?? [],
    hasClaimable: row.has_claimable || recovered.some((job) => job.state === 'queued'),
    oldestDue: recovered.length > 0 ? null : row.oldest_due,
    freeFrom: row.free_from,
    nextScheduleAt: row.next_schedule_at,
    bounds: {leases: row.leases_from, jobs: row.jobs_from, schedules: row.schedules_from},
    ownFreshInMs: row.own_fresh_ms,
    nextScheduleInMs: row.next_schedule_ms,
    nextJobInMs: row.next_job_ms,
  }
}
