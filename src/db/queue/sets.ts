import {JOB_TYPE, type JobScope} from '../../lib/records/jobs.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {isAhead} from '../instant.ts'
import {isCalledOff, isStillOurs, type JobFence} from './fence.ts'

/** A member of a set of jobs that is to be made. */
interface NewMember {
  view: ViewName
  jobId: string
  /** The jobs of the set that are to be completed before this one. */
  parents: readonly string[]
  /** How long the longest path takes that begins with this member, in milliseconds. */
  remainingMs: number
}

/** A set of jobs that is to be made. */
export interface NewSet {
  setId: string
  /** Null for a job that no schedule caused. */
  scheduleId: string | null
  scope: JobScope
  maxAttempts: number
  /** Parents before their children. */
  members: readonly NewMember[]
}

/**
 * Made; or not made: the schedule has a set that is under way, or was disabled or deleted since the claim, or
 * the job of the set was taken from the worker meanwhile.
 */
export type SetMaking = 'made' | 'under way' | 'called off' | 'lost'

/** Why the jobs of a schedule are canceled that goes. */
export const CALLED_OFF = 'the schedule was disabled or deleted'

/** The outcome of a member that never had its turn, since the job of a view above was not completed. */
export const TAKEN_ALONG = 'skipped'

/**
 * SQL: what the member under that alias gives its job. Jobs have a CHECK that members lack, and an instant at
 * infinity breaks an AYB server: another program can have written either.
 */
export const jobOfMember = (alias: string) => ({
  maxAttempts: `greatest(${alias}.max_attempts, 1)`,
  createdAt: `(case when ${alias}.created_at < '0001-01-02' or ${isAhead(`${alias}.created_at`)} then now() else ${alias}.created_at end)`,
})

/** SQL: the set of the row under that alias is under way with this member. */
export const isLive = (alias: string): string => `${alias}.ended_at is null`

/** SQL: the schedule has a set that is under way; false where sets have no table. */
export const hasLiveSet = (db: Database, scheduleId: string): string =>
  db.mayRead('edges')
    ? `exists (select from ${db.tables.edges} e where ${isLive('e')} and e.schedule_id = ${scheduleId})`
    : 'false'

/** Whether the job belongs to a set, and whether it has ended there. */
export async function membershipOf(
  {session, tables}: Database,
  jobId: string,
): Promise<'none' | 'live' | 'ended'> {
  const rows = await session.query<{is_live: boolean}>(
    `select ${isLive('e')} as is_live from ${tables.edges} e where e.job_id = $1`,
    [jobId],
  )
  if (!rows[0]) return 'none'
  return rows[0].is_live ? 'live' : 'ended'
}

/** The ids of the jobs of the schedule's set that is under way, parents first; none where there is none. */
export async function findLiveSet(db: Database, scheduleId: string): Promise<string[]> {
  if (!db.mayRead('edges')) return []
  const rows = await db.session.query<{job_id: string}>(
    `select e.job_id from ${db.tables.edges} e
      where e.set_id = (select l.set_id from ${db.tables.edges} l where ${isLive('l')} and l.schedule_id = $1 limit 1)
      order by e.place`,
    [scheduleId],
  )
  return rows.map((row) => row.job_id)
}

/**
 * Makes a set, within a transaction that holds the row of its schedule. All its members wait, and have one
 * time of creation, by which lists keep a set together.
 */
export async function insertSet(
  {session, tables}: Database,
  {setId, scheduleId, scope, maxAttempts, members}: NewSet,
): Promise<void> {
  const rows = members.map(({view, jobId, parents, remainingMs}, place) => ({
    job_id: jobId,
    place,
    schema_name: view.schemaName,
    view_name: view.viewName,
    parents,
    remaining_ms: Math.round(remainingMs),
  }))
  await session.query(
    `with clock as materialized (select clock_timestamp() as at)
     insert into ${tables.edges} (job_id, set_id, schedule_id, place, schema_name, view_name, parents, payload,
                                  max_attempts, remaining_ms, created_at)
     select m.job_id, $1, $2, m.place, m.schema_name, m.view_name, m.parents,
            jsonb_build_object('schema', m.schema_name, 'view_name', m.view_name, 'scope', $3::text),
            $4, m.remaining_ms, clock.at
       from clock cross join jsonb_to_recordset($5::jsonb)
         as m(job_id uuid, place int, schema_name text, view_name text, parents uuid[], remaining_ms bigint)
      order by m.job_id`,
    [setId, scheduleId, scope, maxAttempts, JSON.stringify(rows)],
  )
}

/**
 * Makes a set of a job that a worker has claimed, which is the job of one of its members from now on. A
 * member with parents has no job until they are completed: so its job goes. Where the schedule has a set that
 * is under way, or was called off, the job is canceled instead.
 */
export async function makeSetOf(db: Database, job: JobFence, set: NewSet): Promise<SetMaking> {
  const {session, tables} = db
  const own = set.members.find(({jobId}) => jobId === job.id)
  const fence = isStillOurs('$1', '$2', '$3', '$4')
  const values = [job.id, job.workerId, job.attempt, job.token]
  const literal = (id: string | null) => (id === null ? 'null' : session.literal(id))
  const cancel = (reason: string, condition: string) =>
    session.query(
      `update ${tables.jobs} as j
          set state = 'canceled', canceled_at = now(), lease_until = null, worker_id = null, updated_at = now(),
              last_error = '${reason}'
        where ${fence} and ${condition} returning j.id`,
      values,
    )
  const make = async (): Promise<SetMaking> => {
    // The row of the schedule first, as whoever disables or deletes the schedule has it.
    await session.query(`select from ${tables.schedules} s where s.id = $1 for no key update`, [
      set.scheduleId,
    ])
    const [busy] = await session.query<{is_busy: boolean}>(
      `select ${hasLiveSet(db, '$1::uuid')} as is_busy`,
      [set.scheduleId],
    )
    if (busy?.is_busy) {
      const canceled = await cancel('the views of an earlier run are still being refreshed', 'true')
      return canceled.length > 0 ? 'under way' : 'lost'
    }
    const canceled = await cancel(CALLED_OFF, isCalledOff(tables, literal(job.scheduleId)))
    if (canceled.length > 0) return 'called off'
    const waits = (own?.parents.length ?? 0) > 0
    const held = await session.query(
      waits
        ? `delete from ${tables.jobs} j where ${fence} returning j.id`
        : `select from ${tables.jobs} j where ${fence} for no key update`,
      values,
    )
    if (held.length === 0) return 'lost'
    await insertSet(db, set)
    if (!waits) {
      await session.query(
        `update ${tables.edges} e set released_at = clock_timestamp() where e.job_id = $1`,
        [job.id],
      )
    }
    return 'made'
  }
  return session.transaction(make, {commitsLocally: true})
}

/**
 * Locks the members of sets in the one order that all transactions have, before these lock any job: of the
 * set of a job, or of the sets of schedules that are under way.
 */
export async function lockSets(
  db: Database,
  which: {jobId: string} | {scheduleIds: readonly string[]},
): Promise<{isLocked: boolean}> {
  if (!db.mayWrite('edges')) return {isLocked: false}
  const {edges} = db.tables
  const [condition, value] =
    'jobId' in which
      ? [`e.set_id = (select x.set_id from ${edges} x where x.job_id = $1)`, which.jobId]
      : [`${isLive('e')} and e.schedule_id = any ($1::uuid[])`, which.scheduleIds]
  const rows = await db.session.query(
    `select from ${edges} e where ${condition} order by e.job_id for no key update`,
    [value],
  )
  return {isLocked: rows.length > 0}
}

/**
 * Lets sets that somebody runs by hand go on after a change of their disabled schedules. Without this, such a
 * set ends: it looks as if the schedule was disabled after the set was made.
 */
export async function keepSets(db: Database, scheduleIds: readonly string[]): Promise<void> {
  if (scheduleIds.length === 0) return
  const {isLocked} = await lockSets(db, {scheduleIds})
  if (!isLocked) return
  await db.session.query(
    `update ${db.tables.edges} e set created_at = clock_timestamp() where ${isLive('e')} and e.schedule_id = any ($1::uuid[])`,
    [scheduleIds],
  )
}

/** Ends a member that waits: its job is written as canceled. Returns whether the member waited. */
export async function cancelWaiting({session, tables}: Database, jobId: string): Promise<boolean> {
  const rows = await session.query(
    `with ended as (
       update ${tables.edges} e set outcome = 'canceled', ended_at = clock_timestamp()
        where e.job_id = $1 and ${isLive('e')} and e.released_at is null
       returning e.job_id, e.payload, e.max_attempts, e.created_at)
     insert into ${tables.jobs} (id, type, payload, state, max_attempts, created_at, canceled_at)
     select ended.job_id, '${JOB_TYPE}', ended.payload, 'canceled', ${jobOfMember('ended').maxAttempts}, ${jobOfMember('ended').createdAt}, now() from ended
  returning id`,
    [jobId],
  )
  return rows.length > 0
}
