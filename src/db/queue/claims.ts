import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {Database} from '../database.ts'
import {heldLock, type LockAnswer} from '../locks/refresh-lock.ts'
import {toPolicy} from '../policies.ts'
import {type ScheduleOfJob, toScheduleOfJob} from '../schedule-policies.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {forgetRights, stateRights} from '../states/identity.ts'
import {
  type ClaimRow,
  claimedColumns,
  claimedJob,
  type LockedRow,
  oldestDueJobs,
  returnedOfClaim,
  type TriedRow,
} from './claim-sql.ts'
import type {RefreshJob} from './fence.ts'
import {type LockTries, readTries, triesOfClaimed} from './lock-tries.ts'

/** A job that was claimed, with what its refresh needs to know. */
export interface ClaimedJob extends RefreshJob {
  payload: unknown
  /** Null without a schedule, or where the schedule is gone. */
  schedule: ScheduleOfJob | null
  /** How long after its time it was claimed, by the server's clock, in milliseconds. */
  latenessMs: number
  /** Of the view that the payload names; null where there is none. */
  registration: RefreshTarget | null
  /**
   * The tries that waited in vain for the lock of its view, as far as the database knows; null where there
   * are none.
   */
  pastTries: LockTries | null
  /** Whether a promise made the job, and nobody had asked for it by the time of the claim. */
  isLook: boolean
}

/**
 * A job that was claimed on the session that is to run it, and what came of taking the lock of its view at
 * once.
 */
export interface LockedJob {
  job: ClaimedJob
  /** Refused, too, where the payload names no view. */
  lock: LockAnswer
}

/** How many jobs to claim, for whom and for how long, and the views that the worker refreshes right now. */
export interface ClaimRequest {
  slots: number
  workerId: string
  leaseMs: number
  busyViews: readonly string[]
  /**
   * Lower bound for run_at, to the microsecond; null where none is known. Without it, each claim rescans the
   * dead index entries that an old snapshot keeps alive.
   */
  notBefore: string | null
  /** What else is left alone; null where nothing is. */
  bound?: OnceBound | null
}

/**
 * What a worker that runs once may claim: jobs that were due at an instant, and those that it had in hand
 * since.
 */
export interface OnceBound {
  /** By the server's clock, to the microsecond. */
  until: string
  jobIds: readonly string[]
}

/**
 * Claims the oldest due jobs, no more than there are free slots, and none of a view that this worker
 * refreshes.
 */
export async function claimJobs(db: Database, request: ClaimRequest): Promise<ClaimedJob[]> {
  const {slots, workerId, leaseMs, busyViews, notBefore, bound} = request
  const values = [workerId, leaseMs, busyViews, notBefore ?? '-infinity']
  if (bound) values.push(bound.until, bound.jobIds)
  const sql = claimSql(db, await stateRights(db), bound)
  const rows = await db.session.query<TriedRow>(sql, [...values, slots]).catch(async (error) => {
    if (hasSqlstate(error, SQLSTATE.INSUFFICIENT_PRIVILEGE, SQLSTATE.UNDEFINED_TABLE)) {
      forgetRights(db.session)
    }
    throw error
  })
  return rows.map((row) => ({...toClaimedJob(row, workerId), pastTries: row.past_tries}))
}

function claimSql(db: Database, rights: {mayRead: boolean}, bound: OnceBound | null | undefined): string {
  const wanted = {busyViews: '$3', notBefore: '$4', bound: bound ? {until: '$5', jobIds: '$6'} : null}
  const columns = Object.entries(claimedColumns({at: 'clock.at', workerId: '$1', leaseMs: '$2'}))
  const claimed = claimedJob(db)
  const tries = triesOfClaimed(db, rights)
  return `with clock as materialized (select clock_timestamp() as at),
     c as materialized (
       ${oldestDueJobs(db.tables, wanted, {at: '(select at from clock)', limit: bound ? '$7' : '$5'})}),
     u as (
       update ${db.tables.jobs} j
          set ${columns.map(([column, value]) => `${column} = ${value}`).join(', ')}
         from clock where j.id = any (array(select id from c))
       returning ${returnedOfClaim('clock.at')})
     select ${claimed.columns}, ${tries.column}
       from u${claimed.join}${tries.join}
      order by u.run_at`
}

const toClaimedJob = (row: ClaimRow, workerId: string): ClaimedJob => ({
  id: row.job_id,
  workerId,
  attempt: row.attempts,
  token: row.token,
  payload: row.payload,
  maxAttempts: row.max_attempts,
  scheduleId: row.schedule_id,
  schedule: toScheduleOfJob(row.schedule),
  latenessMs: Math.max(Math.round(row.lateness_sec * 1000), 0),
  registration:
    row.registration_id === null
      ? null
      : {
          id: row.registration_id,
          schemaName: row.schema_name,
          viewName: row.view_name,
          refreshMode: row.refresh_mode,
          policy: toPolicy(row.policy),
        },
  pastTries: null,
  isLook: row.is_look,
})

/** The job of a claim that shared a statement with the end of another job, on that session. */
export async function toLockedJob(db: Database, row: LockedRow, workerId: string): Promise<LockedJob> {
  const job = toClaimedJob(row, workerId)
  const lock =
    row.lock_name === null || row.locked_at === null
      ? 'refused'
      : heldLock(db.session, row.lock_name, row.locked_at)
  // Only few jobs were put back, so the tries are not worth a join in each claim. The job is claimed: should
  // the session be lost here, its refresh finds that out.
  if (row.is_tried && job.registration) {
    job.pastTries = await readTries(db, job, job.registration).catch(() => null)
  }
  return {job, lock}
}

/** Keeps the jobs of a worker its own for another while. */
export async function renewLeases(
  db: Database,
  workerId: string,
  jobIds: readonly string[],
  leaseMs: number,
): Promise<void> {
  await db.session.query(
    `update ${db.tables.jobs} j
        set lease_until = now() + $3 * interval '1 ms', updated_at = now()
      where j.id = any ($2::uuid[]) and j.state = 'running' and j.worker_id = $1`,
    [workerId, jobIds, leaseMs],
  )
}
