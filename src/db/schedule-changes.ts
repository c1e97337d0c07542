import {unencodableSchedule} from '../lib/failures/schedules.ts'
import {JOB_TYPE, type JobScope} from '../lib/records/jobs.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import {NO_POLICY, policyIn, type SchedulePolicy} from '../lib/schedule-policy.ts'
import type {Database} from './database.ts'
import {isUnencodable} from './encoding.ts'
import {forgetPromises, type NewPromise, writePromises} from './promises.ts'
import {wakeWorkers} from './queue/wake.ts'
import {writeSchedulePolicies} from './schedule-policies.ts'
import {type ScheduleRow, selectSchedule, toSchedule} from './schedules.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'

/** A schedule to create. */
export interface ScheduleSettings {
  name: string
  payload: unknown
  cronExpr: string
  timezone: string
  enabled: boolean
  maxAttempts: number
  /** ISO 8601; null while it is disabled. */
  nextRunAt: string | null
  policy: SchedulePolicy
  /** How old the data of the view may become; null where the schedule runs at the times of its expression. */
  maxAgeMs: number | null
}

/** Changes of a schedule; undefined fields stay. */
export type ScheduleUpdate = {
  [Key in keyof Omit<ScheduleSettings, 'maxAgeMs'>]: ScheduleSettings[Key] | undefined
} & {
  id: string
  /** As it is to be. */
  maxAgeMs: number | null
  /** Of the payload; null takes it away. */
  scope?: JobScope | null | undefined
}

const promiseIn = ({id, maxAgeMs, cronExpr, nextRunAt}: Schedule): NewPromise => ({
  scheduleId: id,
  maxAgeMs,
  cronExpr,
  dueAt: nextRunAt,
})

/** findSchedule with a row lock: no other session can change the schedule until the transaction ends. */
export async function lockSchedule(db: Database, id: string): Promise<Schedule | null> {
  const rows = await db.session.query<ScheduleRow>(
    `select ${selectSchedule(db)}
       from ${db.tables.schedules} s
      where s.id = $1 and s.job_type = '${JOB_TYPE}'
        for update`,
    [id],
  )
  return rows[0] ? toSchedule(rows[0]) : null
}

/** Remembers that a run was asked for; for schedules whose job did not write that. */
export async function recordRun(db: Database, id: string): Promise<void> {
  await db.session.query(
    `update ${db.tables.schedules} set last_run_at = clock_timestamp(), updated_at = clock_timestamp() where id = $1`,
    [id],
  )
}

/** lockSchedule for several, without their rows. */
export async function lockSchedules({session, tables}: Database, ids: readonly string[]): Promise<void> {
  await session.query(
    `select from ${tables.schedules} s where s.id = any ($1::uuid[]) order by s.name for update`,
    [ids],
  )
}

/** Adds a schedule and wakes the workers; null where the name is taken, by a schedule of any type. */
export const insertSchedule = (db: Database, settings: ScheduleSettings): Promise<Schedule | null> =>
  db.session.transaction(async () => (await insertSchedules(db, [settings]))[0] ?? null)

/**
 * Adds schedules, within a transaction, and wakes the workers. Returns those that were added: not the ones
 * whose names are taken, by schedules of any type.
 */
export async function insertSchedules(
  db: Database,
  settings: readonly ScheduleSettings[],
): Promise<Schedule[]> {
  const inserted = db.session.query<ScheduleRow>(
    `insert into ${db.tables.schedules} as s (name, job_type, payload, cron_expr, timezone, enabled, max_attempts, next_run_at)
     select v.name, '${JOB_TYPE}', v.payload, v."cronExpr", v.timezone, v.enabled, v."maxAttempts", v."nextRunAt"
       from jsonb_to_recordset($1::jsonb) v(name text, payload jsonb, "cronExpr" text, timezone text, enabled boolean,
                                            "maxAttempts" int, "nextRunAt" timestamptz)
      order by v.name
         on conflict (name) do nothing
  returning ${selectSchedule(db)}`,
    [JSON.stringify(settings)],
  )
  const rows = await inserted.catch(refuseUnencodable(settings))
  const asked = new Map(settings.map((each) => [each.name, each]))
  const added = rows.map((row) => {
    const schedule = toSchedule(row)
    const {policy = NO_POLICY, maxAgeMs = null} = asked.get(schedule.name) ?? {}
    return {...schedule, ...policy, maxAgeMs}
  })
  await writeSchedulePolicies(
    db,
    added.map((schedule) => ({id: schedule.id, policy: policyIn(schedule)})),
  )
  await writePromises(db, added.filter(({maxAgeMs}) => maxAgeMs !== null).map(promiseIn))
  await wakeWorkers(db.session)
  return added
}

/**
 * Changes schedules, within a transaction; 'taken' if another schedule has a new name. Unchanged columns are
 * not written back: a JavaScript number or Date is less precise than the value in Postgres. Returns the
 * schedules in no order.
 */
export async function updateSchedules(
  db: Database,
  updates: readonly ScheduleUpdate[],
): Promise<Schedule[] | 'taken'> {
  const values = updates.map(({policy, maxAgeMs, scope, ...columns}) => ({
    ...columns,
    hasNextRun: columns.nextRunAt !== undefined,
    // Of the payload, which keeps its other keys.
    hasScope: scope !== undefined,
    scope: scope ? {scope} : {},
  }))
  try {
    const rows = await db.session.query<ScheduleRow>(
      `update ${db.tables.schedules} as s
          set name = coalesce(v.name, s.name),
              payload = case when v."hasScope" then (coalesce(v.payload, s.payload) - 'scope') || v.scope else coalesce(v.payload, s.payload) end,
              cron_expr = coalesce(v."cronExpr", s.cron_expr),
              timezone = coalesce(v.timezone, s.timezone), enabled = coalesce(v.enabled, s.enabled),
              max_attempts = coalesce(v."maxAttempts", s.max_attempts),
              next_run_at = case when v."hasNextRun" then v."nextRunAt" else s.next_run_at end, updated_at = clock_timestamp()
         from jsonb_to_recordset($1::jsonb) v(id uuid, name text, payload jsonb, "hasScope" boolean, scope jsonb,
                                              "cronExpr" text, timezone text, enabled boolean, "maxAttempts" int,
                                              "hasNextRun" boolean, "nextRunAt" timestamptz)
        where s.id = v.id
    returning ${selectSchedule(db)}`,
      [JSON.stringify(values)],
    )
    const policies = updates.flatMap(({id, policy}) => (policy ? [{id, policy}] : []))
    await writeSchedulePolicies(db, policies)
    await wakeWorkers(db.session)
    const asked = new Map(updates.map((update) => [update.id, update]))
    const updated = rows.map((row) => {
      const schedule = toSchedule(row)
      const {policy, maxAgeMs = null} = asked.get(schedule.id) ?? {}
      return {...schedule, ...policy, maxAgeMs}
    })
    if (db.mayWrite('promises')) await writePromises(db, updated.map(promiseIn))
    return updated
  } catch (error) {
    if (hasSqlstate(error, SQLSTATE.UNIQUE_VIOLATION)) return 'taken'
    return refuseUnencodable(updates)(error)
  }
}

const refuseUnencodable =
  (settings: readonly (ScheduleSettings | ScheduleUpdate)[]) =>
  (error: unknown): never => {
    throw isUnencodable(error, JSON.stringify(settings)) ? unencodableSchedule(error) : error
  }

/** Deletes schedules, within a transaction. Their jobs stay, without a schedule. */
export async function deleteSchedules(db: Database, ids: readonly string[]): Promise<void> {
  await writeSchedulePolicies(
    db,
    ids.map((id) => ({id, policy: NO_POLICY})),
  )
  if (db.mayWrite('promises')) await forgetPromises(db, ids)
  await db.session.query(`delete from ${db.tables.schedules} s where s.id = any ($1::uuid[])`, [ids])
}
