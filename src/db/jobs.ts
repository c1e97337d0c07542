import {parseExactly} from '../lib/exact-json.ts'
import {qualifiedName, uuidsWithPrefix} from '../lib/identifier.ts'
import {JOB_TYPE, type Job, type JobState, type JobStats} from '../lib/records/jobs.ts'
import type {ViewName} from '../lib/records/values.ts'
import {columns, errorText, instant, plain, type Stored} from './columns.ts'
import type {Database} from './database.ts'
import {noneIfUnencodable} from './encoding.ts'
import {withinDocuments} from './instant.ts'
import {payloadJson, viewInPayload} from './payload.ts'
import {isLive} from './queue/sets.ts'

type StoredJob = Omit<Job, 'setId' | 'waitingFor'>

const JOB = columns<StoredJob>({
  id: plain('id'),
  type: plain('type'),
  payload: {
    sql: (alias) => payloadJson(`${alias}.payload`),
    read: (stored) => parseExactly(stored as string),
  },
  state: plain('state'),
  runAt: instant('run_at'),
  attempts: plain('attempts'),
  maxAttempts: plain('max_attempts'),
  lastError: errorText('last_error'),
  workerId: plain('worker_id'),
  leaseUntil: instant('lease_until'),
  scheduleId: plain('schedule_id'),
  createdAt: instant('created_at'),
  updatedAt: instant('updated_at'),
  lastRunAt: instant('last_run_at'),
  completedAt: instant('completed_at'),
  canceledAt: instant('canceled_at'),
})

export type JobRow = Stored<StoredJob> & {set_id: string | null; waiting_for: ViewName[] | null}

/** SQL: the select list of a job, or of a member that waits, under that alias. */
export const selectJob = (db: Database, alias: string): string =>
  `${JOB.select(alias)}, ${setIdOf(db, alias)} as set_id, null::json as waiting_for`

const setIdOf = (db: Database, alias: string): string =>
  db.mayRead('edges')
    ? `(select x.set_id from ${db.tables.edges} x where x.job_id = ${alias}.id)`
    : 'null::uuid'

export const toJob = (row: JobRow): Job => ({
  ...JOB.toRecord(row),
  setId: row.set_id,
  waitingFor: row.waiting_for ?? [],
})

/**
 * SQL: the members of sets that wait, as jobs; `condition` is about alias `e`. Null where sets have no table.
 */
const waitingJobs = (db: Database, condition: string): string | null => {
  if (!db.mayRead('edges')) return null
  const {edges} = db.tables
  return `select ${JOB.select('w')}, w.set_id, w.waiting_for
       from (select e.job_id as id, '${JOB_TYPE}'::varchar as type, e.payload, 'waiting'::varchar as state, null::timestamptz as run_at,
                    0 as attempts, e.max_attempts, null::text as last_error, null::varchar as worker_id,
                    null::timestamptz as lease_until, e.schedule_id, e.created_at, e.created_at as updated_at,
                    null::timestamptz as last_run_at, null::timestamptz as completed_at, null::timestamptz as canceled_at,
                    e.set_id,
                    (select json_agg(json_build_object('schemaName', x.schema_name, 'viewName', x.view_name) order by x.place)
                       from ${edges} x where x.job_id = any (e.parents) and x.outcome is distinct from 'completed') as waiting_for
               from ${edges} e
              where ${isLive('e')} and e.released_at is null and ${condition}) w`
}

/** Which jobs to list; null means all. */
export interface JobFilter {
  state: JobState | null
  scheduleId: string | null
  view?: ViewName | null
  /** A part of the name of the view, in any case. */
  search?: string | null
  limit: number
  /** How many of the newest jobs to skip. */
  offset?: number
}

/** The job of that id, of our type; null where there is none, or no table yet. */
export async function findJob(db: Database, id: string): Promise<Job | null> {
  return (await findJobs(db, [id]))[0] ?? null
}

/** The jobs with these ids, of our type, in this order; deleted jobs are left out. */
export async function findJobs(db: Database, ids: readonly string[]): Promise<Job[]> {
  if (!db.has('jobs')) return []
  const found = new Map<string, Job>()
  // A member that stops waiting between the first two looks has a job by the third.
  for (const look of [findStoredJobs, findWaitingJobs, findStoredJobs]) {
    const missing = ids.filter((id) => !found.has(id))
    if (missing.length === 0) break
    const jobs = (await look(db, missing)).map(toJob)
    for (const job of jobs) found.set(job.id, job)
  }
  return ids.flatMap((id) => found.get(id) ?? [])
}

/** The ids that begin so, at most `limit`, of our jobs and of members that wait. */
export async function findJobIds(db: Database, prefix: string, limit: number): Promise<string[]> {
  if (!db.has('jobs')) return []
  const {first, last} = uuidsWithPrefix(prefix)
  const members = db.mayRead('edges')
    ? `union select e.job_id from ${db.tables.edges} e where e.job_id between $1 and $2 and ${isLive('e')} and e.released_at is null`
    : ''
  const rows = await db.session.query<{id: string}>(
    `select j.id from ${db.tables.jobs} j where j.id between $1 and $2 and j.type = '${JOB_TYPE}'
      ${members}
      order by id
      limit $3`,
    [first, last, limit],
  )
  return rows.map(({id}) => id)
}

const findStoredJobs = (db: Database, ids: readonly string[]): Promise<JobRow[]> =>
  db.session.query<JobRow>(
    `select ${selectJob(db, 'j')}
       from ${db.tables.jobs} j
      where j.id = any ($1::uuid[]) and j.type = '${JOB_TYPE}'`,
    [ids],
  )

async function findWaitingJobs(db: Database, ids: readonly string[]): Promise<JobRow[]> {
  const waiting = waitingJobs(db, 'e.job_id = any ($1::uuid[])')
  return waiting === null ? [] : db.session.query<JobRow>(waiting, [ids])
}

/** The newest jobs first. */
export async function listJobs(
  db: Database,
  {state, scheduleId, view = null, search = null, limit, offset = 0}: JobFilter,
): Promise<Job[]> {
  if (!db.has('jobs')) return []
  // Members that wait come first: they are the newest, and few.
  const isAsked = state === null || state === 'waiting'
  const waiting = isAsked ? await listWaiting(db, {scheduleId, view, search, limit: offset + limit}) : []
  const shown = waiting.slice(offset, offset + limit)
  const [left, skipped] = [limit - shown.length, Math.max(0, offset - waiting.length)]
  if (left === 0 || state === 'waiting') return shown
  const ofSchedule = db.mayRead('edges')
    ? `(j.schedule_id = $2 or j.id = any (array(select e.job_id from ${db.tables.edges} e where e.schedule_id = $2)))`
    : 'j.schedule_id = $2'
  const ofView = viewInPayload('j.payload')
  const found = db.session.query<JobRow>(
    `select ${selectJob(db, 'j')}
       from (select * from ${db.tables.jobs} j
              where j.type = '${JOB_TYPE}'
                and ($1::text is null or j.state = $1)
                and ($2::uuid is null or ${ofSchedule})
                and ($5::text is null or (${ofView.schema} = $5 and ${ofView.view} = $6))
                and ($7::text is null or strpos(lower(${ofView.name}), lower($7)) > 0)
              order by j.created_at desc, j.id
              limit $3
             offset $4) j
      order by j.created_at desc, j.id`,
    [state, scheduleId, left, skipped, view?.schemaName ?? null, view?.viewName ?? null, search],
  )
  const rows = await found.catch(noneIfUnencodable(namesIn(view, search), []))
  return [...shown, ...rows.map(toJob)]
}

/**
 * The first members of sets that wait, of one schedule or of all: the newest set first, parents before
 * children.
 */
async function listWaiting(
  db: Database,
  {
    scheduleId,
    view,
    search,
    limit,
  }: {scheduleId: string | null; view: ViewName | null; search: string | null; limit: number},
): Promise<Job[]> {
  const waiting = waitingJobs(
    db,
    `($1::uuid is null or e.schedule_id = $1)
                and ($3::text is null or (e.schema_name = $3 and e.view_name = $4))
                and ($5::text is null or strpos(lower(e.schema_name || '.' || e.view_name), lower($5)) > 0)`,
  )
  if (waiting === null) return []
  const found = db.session.query<JobRow>(
    `${waiting} join ${db.tables.edges} o on o.job_id = w.id order by o.created_at desc, o.set_id, o.place limit $2`,
    [scheduleId, limit, view?.schemaName ?? null, view?.viewName ?? null, search],
  )
  const rows = await found.catch(noneIfUnencodable(namesIn(view, search), []))
  return rows.map(toJob)
}

/** The names that somebody asked for. If the encoding of the database lacks a character, no job matches. */
const namesIn = (view: ViewName | null, search: string | null): string =>
  `${view === null ? '' : qualifiedName(view)}${search ?? ''}`

/** How many jobs cancelQueuedJobs would cancel. */
export async function countQueuedJobs(db: Database, scheduleId: string): Promise<number> {
  if (!db.has('jobs')) return 0
  const {jobs, edges} = db.tables
  const ofSets = db.mayRead('edges')
    ? `+ (select count(*) from ${edges} e left join ${jobs} j on j.id = e.job_id
           where ${isLive('e')} and e.schedule_id = $1
             and (e.released_at is null or j.state = 'queued' and j.schedule_id is null))`
    : ''
  const rows = await db.session.query<{jobs: number}>(
    `select ((select count(*) from ${jobs} j
               where j.schedule_id = $1 and j.type = '${JOB_TYPE}' and j.state = 'queued') ${ofSets})::int as jobs`,
    [scheduleId],
  )
  return rows[0]?.jobs ?? 0
}

/** How many jobs are in each state, and how old the oldest queued one is. */
export async function countJobs(db: Database): Promise<Omit<JobStats, 'warnings'>> {
  const none = {
    queued: 0,
    running: 0,
    completed: 0,
    failed: 0,
    canceled: 0,
    oldestQueuedAgeSec: null,
    waiting: 0,
  }
  if (!db.has('jobs')) return none
  const rows = await db.session.query<{state: JobState; jobs: number; oldest_sec: number}>(
    `select j.state, count(*)::int as jobs,
            greatest(0, floor(extract(epoch from now() - ${withinDocuments('min(j.created_at)')})))::float8 as oldest_sec
       from ${db.tables.jobs} j
      where j.type = '${JOB_TYPE}'
      group by j.state${
        db.mayRead('edges')
          ? `
      union all
     select 'waiting', count(*)::int, 0 from ${db.tables.edges} e where ${isLive('e')} and e.released_at is null`
          : ''
      }`,
  )
  const counts = Object.fromEntries(rows.map((row) => [row.state, row.jobs]))
  const oldest = rows.find((row) => row.state === 'queued')?.oldest_sec ?? null
  return {...none, ...counts, oldestQueuedAgeSec: oldest}
}
