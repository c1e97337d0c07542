import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {Database} from './database.ts'
import {isLive} from './queue/sets.ts'

/** How many jobs and runs are deleted, or would be. */
export interface PruneCount {
  jobs: number
  runs: number
}

const ENDED_AT = 'coalesce(j.completed_at, j.canceled_at, j.updated_at)'

/** SQL: the job under alias `j` ended longer ago than the milliseconds of `$1`. */
const IS_OLD_JOB = `j.type = '${JOB_TYPE}' and j.state in ('completed', 'failed', 'canceled')
          and ${ENDED_AT} < now() - $1::float8 * interval '1 ms'`

/**
 * SQL: the run under alias `h` ended longer ago than the milliseconds of `$1`. The first condition uses the
 * index.
 */
const IS_OLD_RUN = `h.started_at < now() - $1::float8 * interval '1 ms'
          and h.started_at < now() - ($1::float8 + greatest(coalesce(h.duration_ms, 0), 0)) * interval '1 ms'`

/** SQL: a further condition, that the job under alias `j` is of no set that is under way. */
const exceptLiveSets = (db: Database): string =>
  db.mayRead('edges')
    ? ` and not exists (select from ${db.tables.edges} e join ${db.tables.edges} l on l.set_id = e.set_id
                         where e.job_id = j.id and ${isLive('l')})`
    : ''

/** Deletes up to `limit` members of sets that ended longer ago than that, as a whole. */
export async function deleteOldSets(db: Database, olderThanMs: number, limit: number): Promise<void> {
  if (!db.mayWrite('edges')) return
  const {edges} = db.tables
  await db.session.query(
    `with old as materialized (
       select e.job_id from ${edges} e
        where e.ended_at < now() - $1::float8 * interval '1 ms'
          and not exists (select from ${edges} l
                           where l.set_id = e.set_id
                             and (${isLive('l')} or l.ended_at >= now() - $1::float8 * interval '1 ms'))
        limit $2
          for update skip locked)
     delete from ${edges} e using old where e.job_id = old.job_id`,
    [olderThanMs, limit],
  )
}

/** Deletes up to `limit` jobs that ended longer ago than that, and all their runs. */
export async function deleteFinishedJobs(
  db: Database,
  olderThanMs: number,
  limit: number,
): Promise<PruneCount> {
  if (!db.has('jobs')) return {jobs: 0, runs: 0}
  // An AYB server does not create the history, so the table may be missing.
  const runs = db.has('runs')
    ? `delete from ${db.tables.runs} h where h.job_id = any (array(select id from old)) returning h.id`
    : 'select where false'
  const rows = await db.session.query<PruneCount>(
    `with old as materialized (
       select j.id from ${db.tables.jobs} j
        where ${IS_OLD_JOB}${exceptLiveSets(db)}
        order by ${ENDED_AT}
        limit $2
          for update skip locked),
     runs as (${runs}),
     jobs as (delete from ${db.tables.jobs} j where j.id = any (array(select id from old)) returning j.id)
     select (select count(*) from jobs)::int as jobs, (select count(*) from runs)::int as runs`,
    [olderThanMs, limit],
  )
  return rows[0] ?? {jobs: 0, runs: 0}
}

/**
 * Deletes up to `limit` runs that ended longer ago than that: those of refreshes by hand, of jobs that
 * another program deleted, and the earlier attempts of jobs that ended later. Returns how many.
 */
export async function deleteOldRuns(db: Database, olderThanMs: number, limit: number): Promise<number> {
  if (!db.has('runs')) return 0
  const rows = await db.session.query<{runs: number}>(
    `with old as materialized (
       select h.id from ${db.tables.runs} h
        where ${IS_OLD_RUN}
        order by h.started_at
        limit $2
          for update skip locked),
     runs as (delete from ${db.tables.runs} h where h.id = any (array(select id from old)) returning h.id)
     select count(*)::int as runs from runs`,
    [olderThanMs, limit],
  )
  return rows[0]?.runs ?? 0
}

/** Counts the jobs and runs that both functions would delete. */
export async function countOld(db: Database, olderThanMs: number): Promise<PruneCount> {
  const oldJobs = db.has('jobs')
    ? `select j.id from ${db.tables.jobs} j where ${IS_OLD_JOB}${exceptLiveSets(db)}`
    : 'select null::uuid as id where false'
  const runs = db.has('runs')
    ? `select count(*) from ${db.tables.runs} h
        where (${IS_OLD_RUN}) or h.job_id in (select id from old)`
    : 'select 0'
  const rows = await db.session.query<PruneCount>(
    `with old as materialized (${oldJobs})
     select (select count(*) from old)::int as jobs, (${runs})::int as runs
      where $1::float8 is not null`,
    [olderThanMs],
  )
  return rows[0] ?? {jobs: 0, runs: 0}
}
