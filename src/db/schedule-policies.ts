import {hasPolicy, NO_POLICY, type SchedulePolicy} from '../lib/schedule-policy.ts'
import type {Database} from './database.ts'

/** A policy as JSON, where any program may have written the row. */
export interface StoredSchedulePolicy {
  jitterMs: number | null
  catchUp: string | null
  notDuring: (string | null)[] | null
}

/** A hundred quiet times have less; more would be read at each look at the queue. */
const MOST_BYTES = 8192

/** SQL: the quiet times of the policy under that alias; null where they are too many to be read. */
const quietTimes = (alias: string): string =>
  `case when pg_column_size(${alias}.not_during) <= ${MOST_BYTES} then ${alias}.not_during end`

/**
 * SQL: the policy of the schedule of that id as JSON; null if the schedule has none, or the table is missing
 * or closed to the role.
 */
export const schedulePolicyOf = (db: Database, scheduleId: string): string =>
  db.mayRead('schedulePolicies')
    ? `(select json_build_object('jitterMs', sp.jitter_ms, 'catchUp', sp.catch_up, 'notDuring', ${quietTimes('sp')})
               from ${db.tables.schedulePolicies} sp where sp.schedule_id = ${scheduleId})`
    : 'null::json'

/** The policy as `schedulePolicyOf` gives it. */
export function toSchedulePolicy(stored: StoredSchedulePolicy | null): SchedulePolicy {
  if (stored === null) return NO_POLICY
  const {jitterMs, catchUp, notDuring} = stored
  return {
    jitterMs: jitterMs !== null && Number.isSafeInteger(jitterMs) && jitterMs > 0 ? jitterMs : null,
    catchUp: catchUp === 'none' ? 'none' : 'latest',
    notDuring: readTimes(notDuring),
  }
}

const readTimes = (stored: StoredSchedulePolicy['notDuring']): string[] =>
  (stored ?? []).filter((time) => typeof time === 'string')

/** Quiet times, and the time zone by whose clock they are meant. */
interface QuietZone {
  timezone: string
  notDuring: string[]
}

/** The schedule of a job, as far as a claim needs to know it. */
export interface ScheduleOfJob {
  id: string
  name: string
  /** Null where there are none. */
  quiet: QuietZone | null
}

interface StoredScheduleOfJob {
  id: string
  name: string
  timezone: string
  not_during: StoredSchedulePolicy['notDuring']
}

/**
 * SQL: the schedule of a job under that alias, as JSON; null where it has none. A member of a set has its
 * schedule in the set.
 */
export const scheduleOfJob = (db: Database, alias: string): string => {
  const {schedules, schedulePolicies, edges} = db.tables
  const scheduleId = db.mayRead('edges')
    ? `coalesce(${alias}.schedule_id, (select e.schedule_id from ${edges} e where e.job_id = ${alias}.id))`
    : `${alias}.schedule_id`
  const [notDuring, policies] = db.mayRead('schedulePolicies')
    ? [quietTimes('sp'), ` left join ${schedulePolicies} sp on sp.schedule_id = s.id`]
    : ['null::text[]', '']
  return `(select to_json(x) from (
              select s.id, s.name, s.timezone, ${notDuring} as not_during
                from ${schedules} s${policies}
               where s.id = ${scheduleId}) x)`
}

/** The schedule as `scheduleOfJob` gives it. */
export function toScheduleOfJob(stored: StoredScheduleOfJob | null): ScheduleOfJob | null {
  if (stored === null) return null
  const {id, name, timezone} = stored
  const notDuring = readTimes(stored.not_during)
  return {id, name, quiet: notDuring.length > 0 ? {timezone, notDuring} : null}
}

/** Writes the policies of schedules, in a transaction. A policy that asks for nothing goes. */
export async function writeSchedulePolicies(
  db: Database,
  policies: readonly {id: string; policy: SchedulePolicy}[],
): Promise<void> {
  if (policies.length === 0 || !db.has('schedulePolicies')) return
  const {session, tables} = db
  const [wanted, empty] = [policies.filter(isWanted), policies.filter((each) => !isWanted(each))]
  if (empty.length > 0) {
    await session.query(`delete from ${tables.schedulePolicies} p where p.schedule_id = any ($1::uuid[])`, [
      empty.map(({id}) => id),
    ])
  }
  if (wanted.length === 0) return
  await session.query(
    `insert into ${tables.schedulePolicies} (schedule_id, jitter_ms, catch_up, not_during)
     select v.id, v."jitterMs", v."catchUp", v."notDuring"
       from jsonb_to_recordset($1::jsonb) v(id uuid, "jitterMs" bigint, "catchUp" text, "notDuring" text[])
      order by v.id
         on conflict (schedule_id) do update
        set jitter_ms = excluded.jitter_ms, catch_up = excluded.catch_up, not_during = excluded.not_during, updated_at = now()`,
    [JSON.stringify(wanted.map(({id, policy}) => ({id, ...policy})))],
  )
}

const isWanted = ({policy}: {policy: SchedulePolicy}): boolean => hasPolicy(policy)

/** Deletes up to `limit` policies of schedules that are gone: another program may have deleted them. */
export async function deleteStraySchedulePolicies(db: Database, limit: number): Promise<void> {
  if (!db.has('schedules') || !db.mayWrite('schedulePolicies')) return
  const {schedules, schedulePolicies} = db.tables
  await db.session.query(
    `with stray as materialized (
       select p.schedule_id from ${schedulePolicies} p
        where not exists (select from ${schedules} s where s.id = p.schedule_id)
        limit $1
          for update skip locked)
     delete from ${schedulePolicies} p using stray where p.schedule_id = stray.schedule_id`,
    [limit],
  )
}
