import {JOB_TYPE} from '../lib/records.ts'
import {lockNameOf} from './claims.ts'
import type {Database} from './database.ts'
import {exceptTimings, HAS_TIME, type ScheduleTiming} from './due.ts'
import {exactInstant, isAhead} from './instant.ts'
import {readablePayload} from './payload.ts'

/** A job whose worker was found dead. */
interface RecoveredJob {
  id: string
  /** Queued again, or failed where no attempt is left. */
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
  /** How long until a job of the surveyor counts as lost that may only have been claimed a moment ago; null without one. */
  ownFreshInMs: number | null
  /** In milliseconds from now; 0 for one that is due, null where there is none. */
  nextScheduleInMs: number | null
  nextJobInMs: number | null
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
  own_fresh_ms: number | null
  next_schedule_ms: number | null
  next_job_ms: number | null
}

/** SQL: the liveness key in a worker's id; null in that of one behind a pooler, and of another program's. */
const KEY_HEX = `case when j.worker_id ~ '^ayb:[0-9a-f]{16}:' then substr(j.worker_id, 5, 16) end`

/** SQL: whether the surveyor's key is in a worker's id, be it one that its sessions hold or, behind a pooler, a name alone. */
const IS_OWN = `coalesce(substring(j.worker_id from '^ayb:(?:pooled-)?([0-9a-f]{16}):') = $2, false)`

/** SQL: the payload under that alias names a view that could exist; it may as well hold a megabyte. */
const namesPossibleView = (alias: string): string =>
  `(length(coalesce(${alias}.payload->>'schema', 'public')) <= 63 and length(${alias}.payload->>'view_name') <= 63)`

/** SQL: how long a claim may take to be committed, answered and taken note of. */
const FRESH = "interval '5 s'"

/** SQL: whether an instant is as that of a claim a moment ago. Anybody can have written one that is never over. */
const isFresh = (instant: string): string => `${instant} between now() - ${FRESH} and now() + ${FRESH}`

/** The worker that looks, whose key and jobs need no proof of life. */
export interface Surveyor {
  keyHex: string
  /** The jobs that it has in hand. */
  jobIds: readonly string[]
}

const millisecondsUntil = (instant: string): string =>
  `greatest(extract(epoch from ${instant} - clock_timestamp()) * 1000, 0)::float8`

/**
 * One statement, so that an idle worker costs one transaction a poll: fails what has no attempt left, takes back the
 * jobs of dead workers, and tells when there is work next. A worker is dead when nobody holds its key; or, for those
 * without one, when the lease is over. A job whose view is locked is being worked on whatever its worker's state. The
 * lease of a worker that still holds its key ends nothing by itself: first its sessions have to be ended (endWorkers).
 * A job under the surveyor's own key that it does not have in hand was claimed by an answer that never arrived, or
 * could not be settled: nobody works on it either. Unless it is fresh: then the answer to its claim, which another session
 * may have made, may still be on its way. (`state || ''` keeps the planner from reading all running jobs once more: those
 * in question are looked up by their ids.)
 */
export async function survey(
  db: Database,
  options: {surveyor: Surveyor; busyViews: readonly string[]; unreadable: readonly ScheduleTiming[]},
): Promise<Survey> {
  const {jobs, registrations, runs, schedules} = db.tables
  const {keyHex, jobIds} = options.surveyor
  const except = exceptTimings(4, options.unreadable)
  const rows = await db.session.query<SurveyRow>(
    `with held as materialized (
       select (l.classid::bigint << 32) | l.objid::bigint as key
         from pg_locks l
        where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
          and l.database = (select d.oid from pg_database d where d.datname = current_database())),
     suspect as materialized (
       select x.id, x.worker_id, x.attempts, x.key_hex, x.is_late, x.is_key_held, x.is_own
         from (select j.id, j.worker_id, j.attempts, ${KEY_HEX} as key_hex, j.lease_until is null or j.lease_until < now() or j.lease_until >= '10000-01-01' as is_late,
                      case when ${KEY_HEX} is not null then ('x' || (${KEY_HEX}))::bit(64)::bigint in (select key from held) end as is_key_held,
                      ${IS_OWN} as is_own,
                      coalesce(${isFresh('j.last_run_at')}, false) as is_fresh,
                      coalesce(hashtext(${lockNameOf('j')})::bigint in (select key from held), false) as is_locked
                 from ${jobs} j
                where j.state = 'running' and j.type = '${JOB_TYPE}') x
        where not x.is_locked and (x.is_late or x.is_key_held is false or x.is_own)
          and not (x.is_own and (x.id = any ($3::uuid[]) or x.is_fresh))),
     dead as materialized (
       select j.id, x.is_own from suspect x cross join lateral (
         select j.id from ${jobs} j
          where j.id = x.id and j.state || '' = 'running'
            and j.worker_id is not distinct from x.worker_id and j.attempts = x.attempts
            for no key update skip locked) j
        where x.is_own or x.is_key_held is not true
        limit 500),
     recovered as (
       update ${jobs} j
          set state = case when j.attempts < j.max_attempts then 'queued' else 'failed' end,
              run_at = case when j.attempts < j.max_attempts then now() else j.run_at end,
              last_error = case when dead.is_own then 'the claim or the end of this attempt was lost'
                                else 'worker ' || coalesce(j.worker_id, '?') || ' died or lost its lease' end,
              lease_until = null, worker_id = null, updated_at = now()
         from dead, ${jobs} before
        where j.id = dead.id and before.id = j.id
       returning j.id, j.state, j.attempts, ${readablePayload('j.payload')} as payload, j.last_error, j.last_run_at, before.worker_id, dead.is_own),
     died as (
       insert into ${runs} (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, status, error)
       select coalesce(e.payload->>'schema', 'public'), e.payload->>'view_name', coalesce(r.refresh_mode, 'standard'),
              'schedule', e.id, e.worker_id, coalesce(e.last_run_at, now()), 'error', e.last_error
         from recovered e
         left join ${registrations} r
           on r.schema_name = coalesce(e.payload->>'schema', 'public') and r.view_name = e.payload->>'view_name'
        where ${namesPossibleView('e')}),
     hurt as (
       update ${registrations} r
          set last_refresh_at = now(), last_refresh_status = 'error', last_refresh_error = e.last_error, updated_at = now()
         from recovered e
        where r.schema_name = coalesce(e.payload->>'schema', 'public') and r.view_name = e.payload->>'view_name'
          and (r.last_refresh_at is null or r.last_refresh_at <= e.last_run_at or ${isAhead('r.last_refresh_at')})),
     spent as materialized (
       select j.id from ${jobs} j
        where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.attempts >= j.max_attempts and j.run_at <= now()
        order by j.run_at
        limit 500
          for no key update skip locked),
     exhausted as (
       update ${jobs} j
          set state = 'failed', last_error = coalesce(j.last_error, 'worker died; no attempts left'), updated_at = now()
         from spent where j.id = spent.id
       returning j.id)
     select (select json_agg(json_build_object('id', e.id, 'state', e.state, 'attempt', e.attempts, 'worker_id', e.worker_id, 'is_own', e.is_own,
                                               'view', case when ${namesPossibleView('e')} then ${lockNameOf('e')} end)) from recovered e) as recovered,
            (select count(*)::int from exhausted) as exhausted,
            (select json_agg(distinct x.key_hex) from suspect x where x.is_late and x.is_key_held and not x.is_own) as frozen,
            coalesce(oldest.is_free, false) or exists (
              select from ${jobs} j
               where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= now() and j.run_at >= oldest.run_at
                 and j.attempts < j.max_attempts and coalesce(${lockNameOf('j')} <> all ($1::text[]), true)) as has_claimable,
            case when oldest.run_at >= '0001-01-02' then ${exactInstant('oldest.run_at')}
                 when oldest.run_at is not null then '-infinity' end as oldest_due,
            (select ${millisecondsUntil(`max(j.last_run_at) + ${FRESH}`)} from ${jobs} j
              where j.state = 'running' and j.type = '${JOB_TYPE}' and ${IS_OWN} and not j.id = any ($3::uuid[])
                and ${isFresh('j.last_run_at')}
             having count(*) > 0) as own_fresh_ms,
            (select ${millisecondsUntil('s.next_run_at')} from ${schedules} s
              where s.enabled and s.job_type = '${JOB_TYPE}' and ${HAS_TIME} ${except.sql}
              order by s.next_run_at limit 1) as next_schedule_ms,
            (select ${millisecondsUntil('j.run_at')} from ${jobs} j
              where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at > now() and isfinite(j.run_at) and j.attempts < j.max_attempts
                and coalesce(${lockNameOf('j')} <> all ($1::text[]), true)
              order by j.run_at limit 1) as next_job_ms
       from (select) as one
       left join lateral (
         select j.run_at, coalesce(${lockNameOf('j')} <> all ($1::text[]), true) as is_free
           from ${jobs} j
          where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= now() and j.attempts < j.max_attempts
          order by j.run_at limit 1) as oldest on true`,
    [options.busyViews, keyHex, jobIds, ...except.values],
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
    ownFreshInMs: row.own_fresh_ms,
    nextScheduleInMs: row.next_schedule_ms,
    nextJobInMs: row.next_job_ms,
  }
}
