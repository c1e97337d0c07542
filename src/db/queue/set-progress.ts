import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {Database} from '../database.ts'
import {commitLocally} from '../session/settings.ts'
import type {TableNames} from '../system.ts'
import {CALLED_OFF, isLive, jobOfMember, TAKEN_ALONG} from './sets.ts'
import {wakeWorkers} from './wake.ts'

/** A member that was canceled because of another one, or because of its schedule. */
interface CanceledMember {
  jobId: string
  /** schema.view */
  view: string
  reason: string
}

/** What has become of sets. */
export interface SetProgress {
  /** The jobs that were queued, of members whose parents are all completed. */
  queued: string[]
  canceled: CanceledMember[]
}

/** Which sets to move on: that of a job, those of schedules, or all that are under way. */
export type WhichSets = {jobId: string} | {scheduleIds: readonly string[]} | 'all'

/** A setting of the transaction, which has the ids of the sets that the poll moves on. */
const FREE_SETS = 'ayb.free_sets'

/** A setting of the transaction, which has the lock timeout that the transaction had before. */
const LOCK_TIMEOUT_BEFORE = 'ayb.lock_timeout_before'

/** Each set is moved on in milliseconds. */
const LOCK_TIMEOUT = '2s'

/**
 * SQL: the schedule of the member under alias `e` was disabled or deleted since the set was made. A set that
 * somebody runs by hand while the schedule is disabled begins behind that, and goes on.
 */
const isCalledOff = ({schedules}: TableNames): string =>
  `(e.schedule_id is not null and not exists (select from ${schedules} s
      where s.id = e.schedule_id and (s.enabled or s.updated_at <= e.created_at)))`

/**
 * SQL: a value of the member `x` whose job is the parent `p` of another member; null where there is no such member.
 * Not a join: where one large set is most of the table, Postgres would read the whole table for each member.
 */
const ofParent = (edges: string, value: string): string =>
  `(select ${value} from ${edges} x where x.job_id = p.id)`

/**
 * SQL: the sets whose members that have not ended all wait. Unless one of these members is ready, they wait for
 * each other: another program has written their parents.
 */
const setsThatWait = ({edges}: TableNames): string =>
  `select e.set_id from ${edges} e where ${isLive('e')} group by e.set_id having count(e.released_at) = 0`

/**
 * SQL: `advanceSets` has something to do: a member that is under way has no job that is, a member waits for
 * nothing, a schedule was called off, or all members wait. False where sets have no table. Members that wait
 * for jobs that run are not written to.
 */
export const hasSetsToAdvance = (db: Database): string => {
  if (!db.mayWrite('edges')) return 'false'
  const {edges, jobs} = db.tables
  return `exists (
              select from ${edges} e
               where ${isLive('e')}
                 and (case when e.released_at is null
                           then not exists (select from unnest(e.parents) p(id) where ${ofParent(edges, isLive('x'))})
                           else not exists (select from ${jobs} j where j.id = e.job_id and j.state in ('queued', 'running')) end
                      or ${isCalledOff(db.tables)}))
            or exists (${setsThatWait(db.tables)})`
}

/**
 * Moves sets on: notes which members have ended, cancels the members below one that failed, was canceled or
 * is gone, and queues the jobs of members whose parents are all completed. Whoever ends a job of a set calls
 * this behind that; the poll does it for programs that know no sets, and for workers that died in between.
 * Each member is queued once, whoever calls this at the same time. With `commitsLocally` the commit does not
 * wait for a standby: where the server is lost, the next poll repeats what was lost.
 */
export async function advanceSets(
  db: Database,
  which: WhichSets,
  {commitsLocally = false} = {},
): Promise<SetProgress> {
  if (!db.mayWrite('edges')) return {queued: [], canceled: []}
  const {session, tables} = db
  const isMeant = conditionOf(db, which)
  const preparing = [
    `select set_config('${LOCK_TIMEOUT_BEFORE}', current_setting('lock_timeout'), true)`,
    `set local lock_timeout = '${LOCK_TIMEOUT}'`,
    ...(commitsLocally ? [commitLocally('transaction')] : []),
    which === 'all' ? lockFreeSets(tables) : lockMembers(tables, isMeant),
    cancelQueued(tables, isMeant),
    noteEnded(tables, isMeant),
    noteGone(tables, isMeant),
  ]
  const results = await session.script([
    ...preparing,
    cancelDescendants(tables, isMeant),
    queueReady(tables, isMeant),
    // Only the poll looks for members that wait for each other, so the end of a job stays cheap.
    ...(which === 'all' ? [cancelCircles(tables, isMeant)] : []),
    // The transaction of a caller goes on.
    `select set_config('lock_timeout', current_setting('${LOCK_TIMEOUT_BEFORE}'), true)`,
  ])
  const [canceledRows, queuedRows, circleRows] = results.slice(preparing.length, -1)
  const canceled = [...(canceledRows ?? []), ...(circleRows ?? [])] as {
    job_id: string
    view: string
    reason: string
  }[]
  const queued = (queuedRows ?? []) as {id: string}[]
  if (queued.length > 0) await wakeWorkers(session)
  return {
    queued: queued.map(({id}) => id),
    canceled: canceled.map(({job_id, view, reason}) => ({jobId: job_id, view, reason})),
  }
}

function conditionOf({session, tables: {edges}}: Database, which: WhichSets): string {
  if (which === 'all') return `e.set_id = any (current_setting('${FREE_SETS}')::uuid[])`
  if ('jobId' in which) {
    return `e.set_id = (select x.set_id from ${edges} x where x.job_id = ${session.literal(which.jobId)}::uuid)`
  }
  return `e.schedule_id = any (${session.literal(`{${which.scheduleIds.join(',')}}`)}::uuid[])`
}

/** In one order: two sessions that move the same set on would lock its members in two orders otherwise. */
const lockMembers = ({edges}: TableNames, isMeant: string): string =>
  `select from ${edges} e where ${isLive('e')} and ${isMeant} order by e.job_id for no key update`

/**
 * The poll waits for nobody: it locks the sets of which nobody else holds a member, and notes their ids for
 * the statements behind that.
 */
const lockFreeSets = ({edges}: TableNames): string =>
  `with held as materialized (
       select e.set_id from ${edges} e where ${isLive('e')} order by e.job_id for no key update skip locked),
     free as (
       select h.set_id from held h group by h.set_id
       having count(*) = (select count(*) from ${edges} e where ${isLive('e')} and e.set_id = h.set_id))
     select set_config('${FREE_SETS}', coalesce((select array_agg(free.set_id) from free), '{}')::text, true)`

/** Finds the members first: else Postgres reads all members of a large set for each queued job. */
const cancelQueued = (tables: TableNames, isMeant: string): string =>
  `with called_off as materialized (
       select e.job_id from ${tables.edges} e
        where ${isLive('e')} and ${isMeant} and e.released_at is not null and ${isCalledOff(tables)})
     update ${tables.jobs} j set state = 'canceled', canceled_at = now(), updated_at = now()
       from called_off where j.id = called_off.job_id and j.state = 'queued'`

/** The lock on a job that has ended keeps somebody from queuing the job again at the same time. */
const noteEnded = ({edges, jobs}: TableNames, isMeant: string): string =>
  `update ${edges} as m set outcome = ended.state, ended_at = clock_timestamp()
     from (select j.id, j.state from ${edges} e join ${jobs} j on j.id = e.job_id
            where ${isLive('e')} and ${isMeant} and e.released_at is not null
              and j.state in ('completed', 'failed', 'canceled')
            order by j.id
              for no key update of j) ended
    where m.job_id = ended.id and ${isLive('m')}`

/** A job that somebody has deleted. */
const noteGone = ({edges, jobs}: TableNames, isMeant: string): string =>
  `update ${edges} as e set outcome = 'gone', ended_at = clock_timestamp()
    where ${isLive('e')} and ${isMeant} and e.released_at is not null
      and not exists (select from ${jobs} j where j.id = e.job_id)`

const cancelDescendants = (tables: TableNames, isMeant: string): string => {
  const {edges, jobs} = tables
  return `with recursive waiting as materialized (
       select e.job_id, e.parents, ${isCalledOff(tables)} as is_called_off
         from ${edges} e where ${isLive('e')} and ${isMeant} and e.released_at is null),
     pair as materialized (
       select w.job_id as child, p.id as parent from waiting w cross join lateral unnest(w.parents) p(id) where p.id is not null),
     doomed(job_id, cause) as (
       select pair.child, pair.parent from pair left join ${edges} x on x.job_id = pair.parent
        where x.job_id is null or x.outcome in ('failed', 'canceled', 'gone', '${TAKEN_ALONG}')
        union
       select pair.child, d.cause from doomed d join pair on pair.parent = d.job_id),
     chosen as materialized (
       select distinct on (c.job_id) c.job_id, c.cause
         from (select w.job_id, null::uuid as cause from waiting w where w.is_called_off
                union all
               select d.job_id, d.cause from doomed d) c
        order by c.job_id, c.cause nulls first),
     canceled as (
       update ${edges} as m
          set outcome = case when chosen.cause is null then 'canceled' else '${TAKEN_ALONG}' end, ended_at = clock_timestamp()
         from chosen where m.job_id = chosen.job_id and ${isLive('m')} and m.released_at is null
       returning m.job_id, m.schema_name, m.view_name, m.payload, m.max_attempts, m.created_at, m.place, chosen.cause),
     reasons as materialized (
       select c.*, case when c.cause is null then '${CALLED_OFF}'
                        when x.job_id is null then 'a view above is no longer in the set'
                        when x.outcome = 'gone' then 'the job of a view above was deleted: ' || x.schema_name || '.' || x.view_name
                        when x.outcome = 'failed' then 'parent failed: ' || x.schema_name || '.' || x.view_name
                        else 'parent canceled: ' || x.schema_name || '.' || x.view_name end as reason
         from canceled c left join ${edges} x on x.job_id = c.cause),
     ${writeReasons(jobs)}`
}

/** Runs behind `queueReady`: members of a set that all wait even then wait for each other. */
const cancelCircles = (tables: TableNames, isMeant: string): string =>
  `with stuck as materialized (select e.set_id from (${setsThatWait(tables)}) e where ${isMeant}),
     reasons as (
       update ${tables.edges} as m set outcome = 'canceled', ended_at = clock_timestamp()
         from stuck where m.set_id = stuck.set_id and ${isLive('m')}
       returning m.job_id, m.schema_name, m.view_name, m.payload, m.max_attempts, m.created_at, m.place,
                 'the jobs of the set wait for each other' as reason),
     ${writeReasons(tables.jobs)}`

/** SQL: the end of a statement that has canceled members: writes their jobs, and returns the members. */
const writeReasons = (jobs: string): string =>
  `written as (
       insert into ${jobs} (id, type, payload, state, max_attempts, created_at, canceled_at, last_error)
       select r.job_id, '${JOB_TYPE}', r.payload, 'canceled', ${jobOfMember('r').maxAttempts}, ${jobOfMember('r').createdAt}, now(), r.reason from reasons r
           on conflict (id) do nothing)
     select r.job_id, r.schema_name || '.' || r.view_name as view, r.reason from reasons r order by r.place`

/** Of members that are ready at once, the one with the longest way to go comes first. */
const queueReady = ({edges, jobs}: TableNames, isMeant: string): string =>
  `with ready as materialized (
       select e.job_id from ${edges} e
        where ${isLive('e')} and ${isMeant} and e.released_at is null
          and not exists (select from unnest(e.parents) p(id)
                           where p.id is not null and ${ofParent(edges, 'x.outcome')} is distinct from 'completed')),
     released as (
       update ${edges} as m set released_at = clock_timestamp()
         from ready where m.job_id = ready.job_id and ${isLive('m')} and m.released_at is null
       returning m.job_id, m.payload, m.max_attempts, m.remaining_ms, m.place)
     insert into ${jobs} (id, type, payload, max_attempts, run_at)
     select r.job_id, '${JOB_TYPE}', r.payload, ${jobOfMember('r').maxAttempts}, now() from released r
      order by r.remaining_ms desc, r.place
         on conflict (id) do nothing
  returning id`
