import type {Database} from '../database.ts'
import {writeText} from '../encoding.ts'
import {isAhead} from '../instant.ts'
import {endState, isStillOurs, type JobTransition, leftAs, type SettledState} from '../queue/fence.ts'
import type {TableNames} from '../system.ts'
import {type Attempt, storedSettingsOf, triggerOf} from './attempt.ts'

/** How an attempt failed, and what becomes of its job. */
export interface Failure {
  status: 'error' | 'canceled'
  message: string
  durationMs: number
  /** Ignored where there is no job. */
  transition: JobTransition
}

/** What the record of a failure found. */
export interface RecordedFailure {
  /** Null where the job was no longer ours, or there is none. */
  jobState: SettledState | null
  /** Whether the job was still ours; true without a job. */
  isSettled: boolean
  /**
   * Whether another session held or changed the row of the registration, which may still show the refresh
   * before.
   */
  isStatusPending: boolean
}

/** SQL: the status of the registration `r` was written before that instant, or by a clock that was wrong. */
export const isBefore = (startedAt: string): string =>
  `(r.last_refresh_at is null or r.last_refresh_at <= ${startedAt} or ${isAhead('r.last_refresh_at')})`

/**
 * SQL: the status of the registration `r` tells of a failure, and no attempt that says how it ended began
 * after that instant. A failure is recorded when the lock of the view is free, so its status can be younger
 * than the attempt that follows it.
 */
export const isOfEarlierRun = ({runs}: TableNames, startedAt: string): string =>
  `(r.last_refresh_status = 'error'
     and not exists (select from ${runs} l
                      where l.schema_name = r.schema_name and l.view_name = r.view_name and l.started_at > ${startedAt}
                        and l.status in ('success', 'error')))`

/** How long a failure may wait for a lock on ayb's tables before it counts as unrecorded. */
const FAILURE_LOCK_TIMEOUT = '5s'

/**
 * Records an attempt that failed, and what becomes of its job. The session no longer holds the lock of the
 * view, so a later attempt may have ended meanwhile: the status of that one stands. A cancellation leaves the
 * status of the view as it was. Recording the same run twice changes nothing, and a job that is no longer
 * ours leaves everything as it is.
 */
export async function recordFailure(
  db: Database,
  attempt: Attempt,
  failure: Failure,
): Promise<RecordedFailure> {
  return writeText(failure.message, (message) => writeFailure(db, attempt, {...failure, message}))
}

async function writeFailure(db: Database, attempt: Attempt, failure: Failure): Promise<RecordedFailure> {
  const {session, tables} = db
  const {registration, job, reason} = attempt
  const settings = storedSettingsOf(attempt)
  // Of the history; the columns came with the tables.
  const columns = [
    ...(db.has('states') ? [['lock_wait_ms', Math.round(attempt.lockWaitMs)]] : []),
    ...(db.has('policies') && settings !== null ? [['settings', session.literal(settings)]] : []),
    ...(db.has('policies') && reason !== null ? [['reason', session.literal(reason)]] : []),
  ]
  const {transition} = failure
  const queued = transition.state === 'queued' ? transition : null
  const state = endState(tables, {wanted: '$10::text', attemptsReturned: '$12::int', scheduleId: '$17'})
  const jobCte = job
    ? `j as (
       update ${tables.jobs} as j
          set ${leftAs(state, 'done.at')},
              run_at = case when ${state} = 'queued' then done.at + $11 * interval '1 ms' else j.run_at end,
              attempts = j.attempts - $12::int, last_error = $9
         from done
        where ${isStillOurs('$13', '$14', '$15', '$16')}
     returning j.id, j.state::text),`
    : 'j as (select null::uuid as id, null::text as state),'
  const rows = await session.transaction(async () => {
    await session.script([`set local lock_timeout = '${FAILURE_LOCK_TIMEOUT}'`])
    return session.query<{job_state: SettledState | null; is_settled: boolean; is_status_pending: boolean}>(
      `with done as materialized (select clock_timestamp() as at),
     ${jobCte}
     run as (
       insert into ${tables.runs} (id, schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, duration_ms, status, error${columns.map(([name]) => `, ${name}`).join('')})
       select $1::uuid, $2, $3, $4, $5, j.id, ${job ? '$14' : 'null'}, $6::timestamptz, $7::int, $8, $9${columns.map(([, value]) => `, ${value}`).join('')} from j
           on conflict (id) do nothing
       returning id),
     named as (
       select r.id, r.last_refresh_at as seen_at from ${tables.registrations} r, run
        where $8 = 'error' and r.schema_name = $2 and r.view_name = $3
          and (${isBefore('$6::timestamptz')} or ${isOfEarlierRun(tables, '$6::timestamptz')})),
     free as materialized (
       select r.id from ${tables.registrations} r
        where r.id in (select id from named)
          for no key update skip locked),
     r as (
       update ${tables.registrations} as r
          set last_refresh_at = done.at, last_refresh_duration_ms = $7, last_refresh_status = 'error',
              last_refresh_error = $9, updated_at = done.at
         from done, free, named
        where r.id = free.id and r.id = named.id
          and (r.last_refresh_at is not distinct from named.seen_at or ${isBefore('$6::timestamptz')})
       returning r.id)
     select (select j.state from j) as job_state, exists (select from j) as is_settled,
            exists (select from named) and not exists (select from r) as is_status_pending`,
      [
        attempt.runId,
        registration.schemaName,
        registration.viewName,
        attempt.mode,
        triggerOf(attempt),
        attempt.startedAt,
        Math.min(Math.round(failure.durationMs), 2_147_483_647),
        failure.status,
        failure.message,
        ...(job
          ? [
              transition.state,
              queued?.delayMs ?? 0,
              queued?.isAttemptReturned ? 1 : 0,
              job.id,
              job.workerId,
              job.attempt,
              job.token,
              job.scheduleId,
            ]
          : []),
      ],
    )
  })
  const row = rows[0]
  return {
    jobState: row?.job_state ?? null,
    isSettled: row?.is_settled ?? false,
    isStatusPending: row?.is_status_pending ?? false,
  }
}
