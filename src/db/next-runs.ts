import {presentable} from '../lib/outside-text.ts'
import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {Database} from './database.ts'

/** When each enabled schedule is due next, in seconds since 1970, by name. */
export async function readNextRuns(db: Database): Promise<{name: string; nextRunAt: number}[]> {
  if (!db.has('schedules')) return []
  const rows = await db.session.query<{name: string; next_run_at: string}>(
    `select s.name, extract(epoch from s.next_run_at)::text as next_run_at
       from ${db.tables.schedules} s
      where s.enabled and s.job_type = '${JOB_TYPE}' and isfinite(s.next_run_at)
      order by s.name`,
  )
  return rows.map((row) => ({name: presentable(row.name), nextRunAt: Number(row.next_run_at)}))
}
