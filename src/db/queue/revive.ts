import type {Database} from '../database.ts'
import {isLive, lockSets, TAKEN_ALONG} from './sets.ts'

/**
 * Has a member wait again that was canceled while it waited, unless the job of a parent has ended otherwise
 * than completed. Returns whether it waits.
 */
export async function waitAgain(db: Database, jobId: string): Promise<boolean> {
  const {edges, jobs} = db.tables
  const rows = await db.session.query(
    `delete from ${jobs} j using ${edges} e
      where j.id = $1 and j.state = 'canceled' and e.job_id = j.id and e.outcome = 'canceled' and e.released_at is null
        and not exists (select from unnest(e.parents) p(id) join ${edges} x on x.job_id = p.id
                         where not ${isLive('x')} and x.outcome <> 'completed')
  returning j.id`,
    [jobId],
  )
  if (rows.length > 0) await reviveMembers(db, jobId)
  return rows.length > 0
}

/**
 * The same as `jobs retry` does for the set of a job, where another program has queued the job again; unless
 * the schedule has another set that is under way.
 */
export async function rejoinSet(db: Database, jobId: string): Promise<void> {
  const {edges} = db.tables
  const rejoin = async () => {
    await lockSets(db, {jobId})
    const others = await db.session.query(
      `select from ${edges} o join ${edges} m on m.job_id = $1
        where ${isLive('o')} and o.schedule_id = m.schedule_id and o.set_id <> m.set_id limit 1`,
      [jobId],
    )
    if (others.length === 0) await reviveMembers(db, jobId)
  }
  await db.session.transaction(rejoin, {commitsLocally: true})
}

/**
 * Has a job of a set that was queued again count as a member that is under way, and the members below wait
 * again that were canceled because of that job. What somebody canceled by hand stays canceled.
 */
export async function reviveMembers({session, tables}: Database, jobId: string): Promise<void> {
  const {edges, jobs} = tables
  await session.query(
    `with recursive clock as materialized (select clock_timestamp() as at),
     members as materialized (
       select e.job_id, e.parents, e.outcome
         from ${edges} e where e.set_id = (select x.set_id from ${edges} x where x.job_id = $1)),
     pair as materialized (select m.job_id as child, p.id as parent from members m cross join lateral unnest(m.parents) p(id)),
     again(job_id) as (
       select $1::uuid
        union
       select m.job_id from again a join pair on pair.parent = a.job_id join members m on m.job_id = pair.child
        where m.outcome = '${TAKEN_ALONG}'),
     unwritten as (
       delete from ${jobs} j using again where j.id = again.job_id and j.id <> $1 and j.state = 'canceled')
     update ${edges} e
        set outcome = case when a.job_id is null then e.outcome end,
            ended_at = case when a.job_id is null then e.ended_at end,
            created_at = clock.at
       from members m left join again a on a.job_id = m.job_id, clock
      where e.job_id = m.job_id`,
    [jobId],
  )
}
