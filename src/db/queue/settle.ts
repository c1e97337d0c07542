import type {RefreshMode, RefreshTarget, ViewName} from '../../lib/records.ts'
import type {Database} from '../database.ts'
import {writeText} from '../encoding.ts'
import {exactInstant, isAhead} from '../instant.ts'
import type {TableNames} from '../system.ts'

/**
 * What tells the claim of a job from every other one: a statement that ends the job must find all of it
 * unchanged.
 */
export interface JobFence {
  id: string
  workerId: string
  attempt: number
  /** last_run_at to the microsecond, as text: a Date would lose what tells two attempts apart. */
  token: string
  scheduleId: string | null
}

/** What is set for the REFRESH statement alone. Durations in milliseconds; null means no limit. */
interface StatementSettings {
  timeoutMs: number | null
  /** How long this try may wait for a lock. */
  lockTimeoutMs: number | null
}

/** One attempt at a refresh, from the moment that it holds the lock. */
export interface Attempt {
  /** Of the run that will be recorded, known beforehand: after a lost connection it tells whether it was. */
  runId: string
  registration: RefreshTarget
  mode: RefreshMode
  /** Null for a refresh by hand. */
  job: JobFence | null
  settings: StatementSettings
  /** How long earlier tries waited for the lock of the view. */
  lockWaitMs: number
  /** By the server's clock, exact to the microsecond. */
  startedAt: string
}

/** How an attempt failed, and what becomes of its job. */
export interface Failure {
  status: 'error' | 'canceled'
  message: string
  durationMs: number
  /** Ignored where there is no job. */
  transition: JobTransition
}

/**
 * What becomes of a job: it fails for good, or goes back into the queue, with or without having used up an
 * attempt. It is due again after `delayMs`; null leaves the time when it was due.
 */
export type JobTransition =
  | {state: 'failed'}
  | {state: 'queued'; delayMs: number | null; isAttemptReturned: boolean}

/** SQL: the job of a claim under alias `j`, as long as nobody took it away. */
export const isStillOurs = (id: string, workerId: string, attempt: string, token: string): string =>
  `j.id = ${id} and j.state = 'running' and j.worker_id = ${workerId} and j.attempts = ${attempt}
     and ${exactInstant('j.last_run_at')} = ${token}`

/**
 * SQL: whether the schedule of the job under alias `j` was disabled or deleted while the attempt ran. Nothing
 * of such a schedule is queued again. A job that somebody queues by hand while the schedule is disabled
 * starts behind that, and is. `scheduleId` is what the claim read, null where that is not known: a job whose
 * schedule is deleted has none.
 */
export const isCalledOff = ({schedules}: TableNames, scheduleId: string): string =>
  `(j.schedule_id is null and ${scheduleId}::uuid is not null
     or exists (select from ${schedules} s where s.id = j.schedule_id and not s.enabled and s.updated_at > j.last_run_at))`

/** How a job was left: as was asked, or ended where it was to be queued and its schedule was called off. */
export type SettledState = JobTransition['state'] | 'canceled'

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
  const lockWaitMs = Math.round(attempt.lockWaitMs)
  const {registration, job} = attempt
  const {transition} = failure
  const queued = transition.state === 'queued' ? transition : null
  const state = endState(tables, {wanted: '$10::text', attemptsReturned: '$12::int', scheduleId: '$17'})
  const jobCte = job
    ? `j as (
       update ${tables.jobs} as j
          set state = ${state}, run_at = case when ${state} = 'queued' then done.at + $11 * interval '1 ms' else j.run_at end,
              canceled_at = case when ${state} = 'canceled' then done.at else j.canceled_at end,
              attempts = j.attempts - $12::int, last_error = $9, lease_until = null, worker_id = null, updated_at = done.at
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
       insert into ${tables.runs} (id, schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, duration_ms, status, error${db.has('states') ? ', lock_wait_ms' : ''})
       select $1::uuid, $2, $3, $4, $5, j.id, ${job ? '$14' : 'null'}, $6::timestamptz, $7::int, $8, $9${db.has('states') ? `, ${lockWaitMs}` : ''} from j
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

/** SQL: how to leave the job under alias `j`; the values are expressions. */
export const endState = (
  tables: TableNames,
  {wanted, attemptsReturned, scheduleId}: Record<'wanted' | 'attemptsReturned' | 'scheduleId', string>,
): string =>
  `(case when ${wanted} <> 'queued' or not ${isCalledOff(tables, scheduleId)} then ${wanted}
         when ${attemptsReturned} > 0 then 'canceled' else 'failed' end)`

/** Whether the run of an attempt is there, so that its job was settled with it. */
export async function isRecorded({session, tables}: Database, runId: string): Promise<boolean> {
  const rows = await session.query(`select from ${tables.runs} h where h.id = $1`, [runId])
  return rows.length > 0
}

/**
 * Puts a job back into the queue because another session refreshes its view. The job uses up no attempt, and
 * is due again after a quarter of its age, between 1 s and 60 s. Where its schedule was called off, the job
 * is canceled instead. A job leaves one skipped run, however often that happens. Returns null where the job
 * is no longer ours. The commit does not wait for a standby: where the server is lost, the claim is lost too,
 * or the job is rescued as that of a dead worker.
 */
export async function snoozeJob(
  {session, tables}: Database,
  job: JobFence,
  {schemaName, viewName, refreshMode}: RefreshTarget,
): Promise<{state: 'queued' | 'canceled'; delayMs: number} | null> {
  const state = endState(tables, {wanted: "'queued'", attemptsReturned: '1', scheduleId: '$8'})
  const update = () =>
    session.query<{state: 'queued' | 'canceled'; delay_ms: number}>(
      `with j as (
       update ${tables.jobs} as j
          set state = ${state}, canceled_at = case when ${state} = 'canceled' then now() else j.canceled_at end,
              attempts = greatest(j.attempts, 1) - 1, lease_until = null, worker_id = null,
              updated_at = now(),
              run_at = now() + (now() - least(greatest(j.created_at, now() - interval '4 min'), now() - interval '4 s')) / 4
        where ${isStillOurs('$1', '$2', '$3', '$4')}
     returning j.id, j.state::text, j.run_at),
     run as (
       insert into ${tables.runs} (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, status, error)
       select $5, $6, $7, 'schedule', j.id, $2, 'skipped', 'refresh already in progress' from j
        where not exists (select from ${tables.runs} h where h.job_id = j.id and h.status = 'skipped'))
     select j.state, round(extract(epoch from j.run_at - now()) * 1000)::int as delay_ms from j`,
      [job.id, job.workerId, job.attempt, job.token, schemaName, viewName, refreshMode, job.scheduleId],
    )
  const [row] = await session.transaction(update, {commitsLocally: true})
  return row ? {state: row.state, delayMs: row.delay_ms} : null
}

/** Why a job ends without a refresh. With a view, the history of that view gets a run that says so. */
interface JobReason {
  message: string
  view?: ViewName | null
}

/**
 * Fails or requeues a job that never got as far as a refresh. Returns how the job was left; null where the
 * job is no longer ours. The commit does not wait for a standby, as in `snoozeJob`.
 */
export async function failOrRequeueJob(
  db: Database,
  job: JobFence,
  transition: JobTransition,
  reason: JobReason | null = null,
): Promise<SettledState | null> {
  if (reason === null) return writeTransition(db, job, transition, null)
  return writeText(reason.message, (message) => writeTransition(db, job, transition, {...reason, message}))
}

/** Returns a job that was claimed and not begun. */
export const returnJob = (db: Database, job: JobFence): Promise<SettledState | null> =>
  failOrRequeueJob(db, job, {state: 'queued', delayMs: null, isAttemptReturned: true})

async function writeTransition(
  {session, tables}: Database,
  job: JobFence,
  transition: JobTransition,
  reason: JobReason | null,
): Promise<SettledState | null> {
  const queued = transition.state === 'queued' ? transition : null
  const state = endState(tables, {wanted: '$5::text', attemptsReturned: '$7::int', scheduleId: '$11'})
  const update = () =>
    session.query<{state: SettledState}>(
      `with j as (
     update ${tables.jobs} as j
        set state = ${state}, canceled_at = case when ${state} = 'canceled' then now() else j.canceled_at end,
            run_at = coalesce(now() + $6::float8 * interval '1 ms', j.run_at),
            attempts = j.attempts - $7::int, last_error = coalesce($8::text, j.last_error), lease_until = null, worker_id = null,
            updated_at = now()
      where ${isStillOurs('$1', '$2', '$3', '$4')}
  returning j.id, j.state::text, j.last_run_at, $2::text as worker_was),
     run as (
       insert into ${tables.runs} (schema_name, view_name, refresh_mode, trigger, job_id, worker_id, started_at, status, error)
       select $9::text, $10::text,
              coalesce((select r.refresh_mode from ${tables.registrations} r
                         where r.schema_name = $9::text and r.view_name = $10::text), 'standard'),
              'schedule', j.id, j.worker_was, j.last_run_at, 'error', $8::text
         from j
        where $8::text is not null and $9::text is not null and $7::int = 0)
     select state from j`,
      [
        job.id,
        job.workerId,
        job.attempt,
        job.token,
        transition.state,
        queued?.delayMs ?? null,
        queued?.isAttemptReturned ? 1 : 0,
        reason?.message ?? null,
        reason?.view?.schemaName ?? null,
        reason?.view?.viewName ?? null,
        job.scheduleId,
      ],
    )
  const rows = await session.transaction(update, {commitsLocally: true})
  return rows[0]?.state ?? null
}

/**
 * Returns the job that was claimed in the transaction that recorded a run, where the answer that names the
 * job was lost. One transaction wrote both rows, so that both have the same xmin.
 */
export async function returnUnseenJob({session, tables}: Database, runId: string): Promise<void> {
  const state = endState(tables, {wanted: "'queued'", attemptsReturned: '1', scheduleId: 'null'})
  await session.query(
    `update ${tables.jobs} as j
        set state = ${state}, canceled_at = case when ${state} = 'canceled' then now() else j.canceled_at end,
            attempts = greatest(j.attempts, 1) - 1, lease_until = null, worker_id = null, updated_at = now()
       from ${tables.runs} h
      where h.id = $1 and j.xmin = h.xmin and j.state = 'running' and j.worker_id = h.worker_id`,
    [runId],
  )
}

/** What a run tells of who started it. */
export const triggerOf = ({job}: Attempt): 'manual' | 'schedule' => (job ? 'schedule' : 'manual')
