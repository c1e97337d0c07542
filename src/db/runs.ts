import {presentable} from '../lib/outside-text.ts'
import type {RefreshMode, Run, RunStatus, ViewName} from '../lib/records.ts'
import type {Database} from './database.ts'
import {notFoundIfUnencodable} from './encoding.ts'
import {isoInstant} from './instant.ts'

interface RunRow {
  id: string
  schema_name: string
  view_name: string
  refresh_mode: RefreshMode
  trigger: 'manual' | 'schedule'
  job_id: string | null
  worker_id: string | null
  started_at: string
  duration_ms: number | null
  status: RunStatus
  error: string | null
  size_bytes: string | null
  lock_wait_ms: string | null
}

/** The newest runs of a view, newest first. */
export async function listRuns(db: Database, view: ViewName, limit: number): Promise<Run[]> {
  if (!db.has('runs')) return []
  const found = db.session.query<RunRow>(
    `select h.id, h.schema_name, h.view_name, h.refresh_mode, h.trigger, h.job_id, h.worker_id,
            ${isoInstant('h.started_at')} as started_at, h.duration_ms, h.status, h.error, h.size_bytes,
            ${db.has('states') ? 'h.lock_wait_ms' : 'null'} as lock_wait_ms
       from ${db.tables.runs} h
      where h.schema_name = $1 and h.view_name = $2
      order by h.started_at desc, h.id
      limit $3`,
    [view.schemaName, view.viewName, limit],
  )
  const rows = await found.catch(notFoundIfUnencodable(view))
  return rows.map((row) => ({
    id: row.id,
    schemaName: row.schema_name,
    viewName: row.view_name,
    refreshMode: row.refresh_mode,
    trigger: row.trigger,
    jobId: row.job_id,
    workerId: row.worker_id,
    startedAt: row.started_at,
    durationMs: row.duration_ms,
    status: row.status,
    error: presentable(row.error),
    sizeBytes: row.size_bytes === null ? null : Number(row.size_bytes),
    lockWaitMs: row.lock_wait_ms === null ? null : Number(row.lock_wait_ms),
  }))
}
