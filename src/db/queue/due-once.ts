import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {Database} from '../database.ts'
import {exactInstant} from '../instant.ts'
import {lockNameOf} from '../payload.ts'
import {isWithinBound} from './claim-sql.ts'
import type {OnceBound} from './claims.ts'
import {exceptTimings, HAS_TIME, type ScheduleTiming} from './due.ts'
import {isLive} from './sets.ts'

/** The instant by the server's clock, to the microsecond. */
export async function readExactTime({session}: Database): Promise<string> {
  const rows = await session.query<{now: string}>(`select ${exactInstant('clock_timestamp()')} as now`)
  return (rows[0] as {now: string}).now
}

/** Whether there is a schedule that is due within the bound, and a job that can be claimed within it. */
export async function findDueWithin(
  {session, tables}: Database,
  {until, jobIds}: OnceBound,
  {busyViews, unreadable}: {busyViews: readonly string[]; unreadable: readonly ScheduleTiming[]},
): Promise<{hasDueSchedule: boolean; hasClaimable: boolean}> {
  const except = exceptTimings(4, unreadable)
  const rows = await session.query<{has_due_schedule: boolean; has_claimable: boolean}>(
    `select exists (
              select from ${tables.schedules} s
               where s.enabled and s.job_type = '${JOB_TYPE}' and s.next_run_at <= $1::timestamptz and ${HAS_TIME} ${except.sql}) as has_due_schedule,
            exists (
              select from ${tables.jobs} j
               where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= now() and ${isWithinBound('j', '$1', '$2')}
                 and j.attempts < j.max_attempts and coalesce(${lockNameOf('j')} <> all ($3::text[]), true)) as has_claimable`,
    [until, jobIds, busyViews, ...except.values],
  )
  return {
    hasDueSchedule: rows[0]?.has_due_schedule === true,
    hasClaimable: rows[0]?.has_claimable === true,
  }
}

/** The members of the sets that are under way: a worker with `--once` runs them whole. */
export async function findLiveMembers(db: Database): Promise<{jobId: string; scheduleId: string | null}[]> {
  if (!db.mayRead('edges')) return []
  const rows = await db.session.query<{job_id: string; schedule_id: string | null}>(
    `select e.job_id, e.schedule_id from ${db.tables.edges} e where ${isLive('e')}`,
  )
  return rows.map((row) => ({jobId: row.job_id, scheduleId: row.schedule_id}))
}

/** The jobs that have not ended yet: another worker may have ended some of them. */
export async function findUnfinished(
  db: Database,
  jobIds: readonly string[],
): Promise<{jobId: string; scheduleId: string | null; isRunning: boolean}[]> {
  if (jobIds.length === 0) return []
  const {session, tables} = db
  const waiting = db.mayRead('edges')
    ? `union all
      (select e.job_id, e.schedule_id, false from ${tables.edges} e
        where e.job_id = any ($1::uuid[]) and ${isLive('e')} and e.released_at is null
        order by e.set_id, e.place)`
    : ''
  const rows = await session.query<{id: string; schedule_id: string | null; is_running: boolean}>(
    `(select j.id, j.schedule_id, j.state = 'running' as is_running from ${tables.jobs} j
      where j.id = any ($1::uuid[]) and (j.state = 'queued' or j.state = 'running')
      order by j.run_at, j.id)
     ${waiting}`,
    [jobIds],
  )
  return rows.map((row) => ({jobId: row.id, scheduleId: row.schedule_id, isRunning: row.is_running}))
}
