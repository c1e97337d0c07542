import {JOB_TYPE, type Job} from '../../lib/records/jobs.ts'
import type {Database} from '../database.ts'
import {findJob} from '../jobs.ts'
import {keyByHand} from './looks.ts'
import {reviveMembers, waitAgain} from './revive.ts'
import {advanceSets} from './set-progress.ts'
import {isLive, lockSets, TAKEN_ALONG} from './sets.ts'
import {wakeWorkers} from './wake.ts'

/**
 * Queues a failed job again, or a canceled job of a set, with its full number of attempts; null for any other
 * job. A job that was canceled while it waited waits again, unless the job of a parent has ended otherwise
 * than completed. Null, too, while its schedule has another job in the queue, or another set under way.
 */
export async function retryJob(db: Database, id: string): Promise<Job | null> {
  return db.session.transaction(async () => {
    // Queuing a job of a schedule needs the lock of its row.
    await db.session.query(
      `select from ${db.tables.schedules} s where s.id = ${scheduleOf(db, '$1')} for no key update`,
      [id],
    )
    const {isLocked} = await lockSets(db, {jobId: id})
    const isCanceledMember = isLocked
      ? `j.state = 'canceled'
             and exists (select from ${db.tables.edges} e
                          where e.job_id = j.id and e.released_at is not null and e.outcome is distinct from '${TAKEN_ALONG}')`
      : 'false'
    const rows = await db.session.query(
      `update ${db.tables.jobs} as j
          set state = 'queued', attempts = 0, run_at = now(), last_error = null, lease_until = null,
              worker_id = null, completed_at = null, canceled_at = null, updated_at = now(),
              idempotency_key = ${keyByHand('j')}
        where j.id = $1 and j.type = '${JOB_TYPE}' and (j.state = 'failed' or ${isCanceledMember})
          and not exists (${otherJobs(db)})
    returning j.id`,
      [id],
    )
    if (rows.length > 0) {
      if (isLocked) await reviveMembers(db, id)
      await wakeWorkers(db.session)
      return findJob(db, id)
    }
    const others = await db.session.query(otherJobs(db), [id])
    if (!isLocked || others.length > 0 || !(await waitAgain(db, id))) return null
    await advanceSets(db, {jobId: id})
    return findJob(db, id)
  })
}

/** SQL: the schedule of the job of that id, or of its set. */
const scheduleOf = (db: Database, id: string): string => {
  const ofJob = `(select r.schedule_id from ${db.tables.jobs} r where r.id = ${id})`
  return db.mayRead('edges')
    ? `coalesce(${ofJob}, (select r.schedule_id from ${db.tables.edges} r where r.job_id = ${id}))`
    : ofJob
}

/**
 * SQL: the jobs of the schedule of job `$1` that are queued, and the members of its sets that are under way,
 * without the set of the job.
 */
const otherJobs = (db: Database): string => {
  const queued = `select q.id from ${db.tables.jobs} q where q.state = 'queued' and q.schedule_id = ${scheduleOf(db, '$1')}`
  if (!db.mayRead('edges')) return queued
  const {edges} = db.tables
  return `${queued}
          union all
         (select o.job_id from ${edges} o
           where ${isLive('o')} and o.schedule_id = ${scheduleOf(db, '$1')}
             and o.set_id is distinct from (select x.set_id from ${edges} x where x.job_id = $1)
           order by o.place)`
}

/** The id of a job that does what a retry of that job would do; null where there is none. */
export async function findQueuedInstead(db: Database, id: string): Promise<string | null> {
  const [row] = await db.session.query<{id: string}>(`${otherJobs(db)} limit 1`, [id])
  return row?.id ?? null
}
