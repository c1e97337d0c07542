import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {Start} from '../../lib/schedule-start.ts'
import type {Database} from '../database.ts'
import {type DueSchedule, VERSION} from './due.ts'
import {LOOK_KEY_SQL} from './looks.ts'
import {hasLiveSet} from './sets.ts'

/** A due schedule and its next due time; null where there is none. */
export interface Advance extends DueSchedule {
  next: Date | null
  /** When the run that is due begins; without it, when it was due. */
  start?: Start
  /** Whether the schedule is only moved on. */
  isWithoutJob?: boolean
}

/** SQL: a part of a WITH that notes the next runs of schedules with a promise, as ayb has computed them. */
const noteDue = (db: Database, from: string): string =>
  db.mayWrite('promises')
    ? `,
     noted as (
       update ${db.tables.promises} p set due_at = ${from}.next from ${from} where p.schedule_id = ${from}.id)`
    : ''

/** The first parameters of both statements: ids, versions and next runs. */
const valuesOf = (advances: readonly Advance[]) => [
  advances.map(({id}) => id),
  advances.map(({version}) => version),
  advances.map(({next}) => next?.toISOString() ?? null),
]

/**
 * Moves due schedules on, and queues a job for each, unless its run was missed, a job of the schedule is
 * queued already, or its last set is under way. A row that has changed since it was read is left alone, so
 * each due time is taken once, however many workers look. Rows that somebody holds are left for the next
 * look. A job that is queued for more than a day behind the one to be queued comes from another program and
 * may never run, so it is ignored. Jobs are queued in the order of the schedules: jobs that are due at the
 * same instant are claimed in that order. The jobs are looked up schedule by schedule: a join that was
 * planned while the queue was short would read the whole queue for each schedule.
 */
export async function advanceSchedules(
  db: Database,
  advances: readonly Advance[],
): Promise<{advanced: number; enqueued: number; missed: string[]}> {
  const rows = await db.session.query<{advanced: number; enqueued: number; missed: string[]}>(
    `with v as materialized (
       select * from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[]::boolean[], $6::text[]::boolean[], $7::text[]::boolean[])
         with ordinality as v(id, version, next, start_at, is_missed, is_idle, is_promise, place)),
     due as materialized (
       select s.id, s.payload, s.max_attempts, coalesce(v.start_at, s.next_run_at) as run_at, v.next, v.is_missed, v.is_idle, v.is_promise, v.place
         from ${db.tables.schedules} s join v on v.id = s.id
        where s.id = any ($1::uuid[]) and s.enabled and ${VERSION} = v.version
          for no key update of s skip locked),
     advanced as (
       update ${db.tables.schedules} s
          set next_run_at = due.next, updated_at = now(),
              last_run_at = case when due.is_missed or due.is_idle then s.last_run_at else now() end
         from due where s.id = any (array(select id from due)) and s.id = due.id)${noteDue(db, 'due')},
     enqueued as (
       insert into ${db.tables.jobs} (type, payload, max_attempts, schedule_id, run_at, idempotency_key)
       select '${JOB_TYPE}', due.payload, due.max_attempts, due.id, due.run_at,
              case when due.is_promise then ${LOOK_KEY_SQL} end
         from due
        where not due.is_missed and not due.is_idle
          and not exists (select from (select j.state, j.run_at from ${db.tables.jobs} j
                                        where j.schedule_id = due.id and (j.state = 'queued' or j.state = 'running') offset 0) live
                           where live.state = 'queued' and live.run_at < greatest(now(), due.run_at) + interval '1 day')
          and not ${hasLiveSet(db, 'due.id')}
        order by due.place
       returning id)
     select (select count(*) from due)::int as advanced, (select count(*) from enqueued)::int as enqueued,
            array(select id from due where due.is_missed) as missed`,
    [
      ...valuesOf(advances),
      advances.map(({start}) => start?.at.toISOString() ?? null),
      advances.map(({start}) => String(start?.isMissed ?? false)),
      advances.map(({isWithoutJob = false}) => String(isWithoutJob)),
      advances.map(({maxAgeMs}) => String(maxAgeMs !== null)),
    ],
  )
  return rows[0] ?? {advanced: 0, enqueued: 0, missed: []}
}

/**
 * Gives schedules their next run, by the same compare-and-set and without a job. Returns the ids of those
 * that have one now.
 */
export async function timeSchedules(db: Database, advances: readonly Advance[]): Promise<string[]> {
  const rows = await db.session.query<{id: string}>(
    `with v as materialized (
       select * from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as v(id, version, next)),
     untimed as materialized (
       select s.id, v.next from ${db.tables.schedules} s join v on v.id = s.id
        where s.enabled and ${VERSION} = v.version
          for no key update of s skip locked)${noteDue(db, 'untimed')}
     update ${db.tables.schedules} s set next_run_at = untimed.next, updated_at = now()
       from untimed where s.id = untimed.id
     returning s.id`,
    valuesOf(advances),
  )
  return rows.map(({id}) => id)
}
