import {MAX_AGE_MS} from '../lib/duration.ts'
import {qualifiedName} from '../lib/identifier.ts'
import type {PromiseFacts} from '../lib/promise.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {Database} from './database.ts'
import {readablePayload, viewInPayload} from './payload.ts'
import {isLook} from './queue/looks.ts'
import {hasLiveSet} from './queue/sets.ts'
import {usualDurations} from './runs.ts'

/**
 * SQL: the promised age under that alias, in milliseconds, within the bounds of what a command takes. Another
 * program can store an age whose end no clock can tell.
 */
export const agePromised = (alias: string): string =>
  `(case when ${alias}.max_age_ms is not null then least(greatest(${alias}.max_age_ms, 1), ${MAX_AGE_MS}) end)`

/**
 * SQL: how old the data of the view of the schedule under that alias may become, in milliseconds; null where
 * the schedule promises nothing. A program that does not know promises has given the schedule another time
 * where the expression is another one.
 */
export const promiseOf = (db: Database, alias: string): string =>
  db.mayRead('promises')
    ? `(select ${agePromised('p')} from ${db.tables.promises} p
         where p.schedule_id = ${alias}.id and p.cron_expr = ${alias}.cron_expr)`
    : 'null::bigint'

/** A promise to write down for a schedule; with null the schedule promises nothing from now on. */
export interface NewPromise {
  scheduleId: string
  maxAgeMs: number | null
  cronExpr: string
  /** The next run of the schedule, as it is stored. */
  dueAt: string | null
}

/** Writes promises down, within a transaction. */
export async function writePromises(
  {session, tables}: Database,
  promises: readonly NewPromise[],
): Promise<void> {
  const [kept, ended] = [
    promises.filter(({maxAgeMs}) => maxAgeMs !== null),
    promises.filter(({maxAgeMs}) => maxAgeMs === null),
  ]
  if (kept.length > 0) {
    await session.query(
      `insert into ${tables.promises} as p (schedule_id, max_age_ms, cron_expr, due_at)
       select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[])
           on conflict (schedule_id) do update
          set max_age_ms = excluded.max_age_ms, cron_expr = excluded.cron_expr, due_at = excluded.due_at`,
      [
        kept.map(({scheduleId}) => scheduleId),
        kept.map(({maxAgeMs}) => String(maxAgeMs)),
        kept.map(({cronExpr}) => cronExpr),
        kept.map(({dueAt}) => dueAt),
      ],
    )
  }
  if (ended.length > 0) {
    await forgetPromises(
      {session, tables},
      ended.map(({scheduleId}) => scheduleId),
    )
  }
}

/** Deletes the promises of schedules, within a transaction. */
export async function forgetPromises(
  {session, tables}: Pick<Database, 'session' | 'tables'>,
  scheduleIds: readonly string[],
): Promise<void> {
  await session.query(`delete from ${tables.promises} p where p.schedule_id = any ($1::uuid[])`, [
    scheduleIds,
  ])
}

/** Deletes up to `limit` promises of schedules that another program has deleted. */
export async function deleteStrayPromises(db: Database, limit: number): Promise<void> {
  if (!db.has('schedules') || !db.mayWrite('promises')) return
  const {session, tables} = db
  await session.query(
    `delete from ${tables.promises} p
      where p.schedule_id in (select o.schedule_id from ${tables.promises} o
                               where not exists (select from ${tables.schedules} s where s.id = o.schedule_id)
                               limit $1)`,
    [limit],
  )
}

interface PromiseRow {
  id: string
  max_age_ms: string
  schema_name: string | null
  view_name: string | null
  age_ms: number | null
  skips: boolean
  scope: string | null
  is_live: boolean
}

/** What there is to know of a schedule that promises an age. */
interface SchedulePromise extends PromiseFacts {
  /** The view of the schedule, if the schedule first refreshes the views that this view reads; else null. */
  dependent: ViewName | null
}

/**
 * Reads the promises of these schedules, by the ids of the schedules that have one; with a job, only where a
 * promise made that job.
 */
export async function readPromises(
  db: Database,
  scheduleIds: readonly string[],
  {jobId = null}: {jobId?: string | null} = {},
): Promise<Map<string, SchedulePromise>> {
  if (scheduleIds.length === 0 || !db.mayRead('promises')) return new Map()
  const {session, tables} = db
  const view = viewInPayload('y.payload')
  const started = db.has('runs')
    ? `(select h.started_at from ${tables.runs} h
                where h.schema_name = v.schema_name and h.view_name = v.view_name
                  and h.status = 'success' and h.duration_ms is not null
                order by h.started_at desc limit 1)`
    : 'null::timestamptz'
  const skips = db.mayRead('policies')
    ? `coalesce((select o.skip_unchanged from ${tables.policies} o
                  where o.schema_name = v.schema_name and o.view_name = v.view_name), false)`
    : 'false'
  const ofLook =
    jobId === null ? '' : ` and exists (select from ${tables.jobs} j where j.id = $2 and ${isLook('j')})`
  const rows = await session.query<PromiseRow>(
    `select s.id, ${agePromised('p')}::text as max_age_ms, v.schema_name, v.view_name,
            (extract(epoch from clock_timestamp() - ${started}) * 1000)::float8 as age_ms,
            ${skips} as skips, v.scope,
            exists (select from ${tables.jobs} j
                     where j.schedule_id = s.id
                       and (j.state = 'running' or j.state = 'queued' and j.run_at < now() + interval '1 day'))
              or ${hasLiveSet(db, 's.id')} as is_live
       from ${tables.promises} p
       join ${tables.schedules} s on s.id = p.schedule_id and s.cron_expr = p.cron_expr
      cross join lateral (
              select ${view.schema} as schema_name, ${view.view} as view_name, y.payload ->> 'scope' as scope
                from (select ${readablePayload('s.payload')} as payload offset 0) y) v
      where p.schedule_id = any ($1::uuid[]) and p.max_age_ms is not null${ofLook}`,
    jobId === null ? [scheduleIds] : [scheduleIds, jobId],
  )
  const usual = await usualDurations(db, rows.flatMap(viewOf))
  return new Map(
    rows.map((row) => {
      const [name] = viewOf(row)
      return [
        row.id,
        {
          maxAgeMs: Number(row.max_age_ms),
          usualMs: (name && usual.get(qualifiedName(name))) ?? 0,
          ageMs: row.age_ms,
          // A set is refreshed as a whole.
          hasLooks: row.skips && row.scope === null,
          isLive: row.is_live,
          dependent: row.scope === 'dependencies' || row.scope === 'both' ? (name ?? null) : null,
        },
      ]
    }),
  )
}

const viewOf = ({schema_name: schemaName, view_name: viewName}: PromiseRow): ViewName[] =>
  schemaName === null || viewName === null ? [] : [{schemaName, viewName}]
