import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {RefreshMode} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {exactInstant} from '../instant.ts'
import {viewKey} from '../locks/advisory-keys.ts'
import {lockNameOf, payloadOrNote, readablePayload, viewInPayload} from '../payload.ts'
import {policyOf, type StoredPolicy} from '../policies.ts'
import {scheduleOfJob, type toScheduleOfJob} from '../schedule-policies.ts'
import type {TableNames} from '../system.ts'
import type {LockTries} from './lock-tries.ts'
import {isLook} from './looks.ts'

/** What `claimedJob` selects of a job. */
export interface ClaimRow {
  job_id: string
  payload: unknown
  attempts: number
  max_attempts: number
  schedule_id: string | null
  token: string
  lateness_sec: number
  registration_id: string | null
  schema_name: string
  view_name: string
  refresh_mode: RefreshMode
  policy: StoredPolicy | null
  schedule: Parameters<typeof toScheduleOfJob>[0]
  is_look: boolean
}

/** A claim on its own, which also reads the tries of the job. */
export interface TriedRow extends ClaimRow {
  past_tries: LockTries | null
}

/** A claim that took the lock too. */
export interface LockedRow extends ClaimRow {
  /** Whether the job was claimed before. */
  is_tried: boolean
  lock_name: string | null
  locked_at: string | null
}

/** What a claim looks for; each is an SQL expression. */
export interface WantedJobs {
  /** The views that the worker refreshes right now, as text[]. */
  busyViews: string
  /** Lower bound for run_at. */
  notBefore: string
  /** Null where nothing else is left alone. */
  bound: {until: string; jobIds: string} | null
}

/** SQL: the job under that alias was due at an instant, or is one of those jobs. */
export const isWithinBound = (alias: string, until: string, jobIds: string): string =>
  `(${alias}.run_at <= ${until}::timestamptz or ${alias}.id = any (${jobIds}::uuid[]))`

/**
 * SQL: whether the last transaction that changed or locked the row under that alias had ended when the statement
 * took its snapshot. A statement still sees a job as queued that another slot has claimed since. The server would
 * then lock the running job, and its slot could not end the job until this transaction is committed. A row stores
 * 32 bits of the id of that transaction. How far that id is from an id of 64 bits, by `age`, gives all its bits;
 * the first id of a transaction is 3.
 */
const isUntouched = (alias: string): string =>
  `case when ${alias}.xmax = '0' then true
                   else pg_visible_in_snapshot(greatest(pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                     + age(pg_snapshot_xmax(pg_current_snapshot())::xid) - age(${alias}.xmax), 3)::text::xid8, pg_current_snapshot()) end`

/**
 * SQL: the ids of the oldest jobs that are due at that instant, under a lock, and whether each was claimed
 * before. Literals for state and type: with parameters the partial index would not be used. With
 * `leavesTouched`, jobs whose rows were touched since the snapshot are left to a later claim.
 */
export const oldestDueJobs = (
  {jobs}: TableNames,
  {busyViews, notBefore, bound}: WantedJobs,
  {at, limit, leavesTouched = false}: {at: string; limit: string; leavesTouched?: boolean},
): string =>
  `select j.id, j.last_run_at is not null as is_tried from ${jobs} j
        where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= ${at} and j.run_at >= ${notBefore}
          and j.attempts < j.max_attempts${leavesTouched ? ` and ${isUntouched('j')}` : ''}
          and coalesce(${lockNameOf('j')} <> all (${busyViews}::text[]), true)${bound ? ` and ${isWithinBound('j', bound.until, bound.jobIds)}` : ''}
        order by j.run_at
        limit ${limit}
          for no key update skip locked`

/** SQL: what a claim writes into each column of the job under alias `j`; the values are expressions. */
export const claimedColumns = ({
  at,
  workerId,
  leaseMs,
}: Record<'at' | 'workerId' | 'leaseMs', string>): Record<string, string> => ({
  state: "'running'",
  worker_id: workerId,
  lease_until: `${at} + ${leaseMs} * interval '1 ms'`,
  attempts: 'greatest(j.attempts, 0) + 1',
  last_run_at: at,
  updated_at: at,
})

/** SQL: what a claim returns of the job under alias `j`, for `claimedJob`. */
export const returnedOfClaim = (at: string): string =>
  `j.id, j.payload, j.attempts, j.max_attempts, j.schedule_id, j.last_run_at, j.run_at,
                 case when isfinite(j.run_at) then ${at} - j.run_at else interval '0' end as lateness, ${isLook('j')} as is_look`

/** SQL: the view of a claimed job. */
const VIEW_OF_CLAIMED = viewInPayload(readablePayload('u.payload'))

/**
 * SQL: the columns of a ClaimRow, of the job that a claim returned under alias `u`, and what they are joined
 * from. The registration is under alias `r`.
 */
export const claimedJob = (db: Database): {columns: string; join: string} => ({
  columns: `u.id as job_id, ${payloadOrNote('u.payload')} as payload, u.attempts, u.max_attempts, u.schedule_id,
            ${exactInstant('u.last_run_at')} as token,
            extract(epoch from u.lateness)::float8 as lateness_sec,
            r.id as registration_id, r.schema_name::text, r.view_name::text, r.refresh_mode::text, ${policyOf(db, 'r.schema_name', 'r.view_name')} as policy,
            ${scheduleOfJob(db, 'u')} as schedule, u.is_look`,
  join: `
       left join lateral (
         select r.id, r.schema_name, r.view_name, r.refresh_mode from ${db.tables.registrations} r
          where r.schema_name = ${VIEW_OF_CLAIMED.schema} and r.view_name = ${VIEW_OF_CLAIMED.view}
         offset 0) r on true`,
})

/**
 * SQL: takes the lock of the view of the job in the rows of the common table expression `claimed`, and when;
 * as a part of a WITH and what it gives. Materialized, so that the function is called once a row, and only
 * for a job that was claimed.
 */
export const LOCK_OF_CLAIMED = {
  cte: `l as materialized (
       select n.name, pg_try_advisory_lock(${viewKey('n.name')}) as is_locked
         from (select ${lockNameOf('u')} as name from claimed u offset 0) n)`,
  columns: `l.name as lock_name, case when l.is_locked then ${exactInstant('clock_timestamp()')} end as locked_at`,
  join: `
       left join l on true`,
}
