import type {Run, ViewName} from '../lib/records.ts'
import {bigint, columns, errorText, instant, plain, type Stored} from './columns.ts'
import type {Database} from './database.ts'
import {notFoundIfUnencodable} from './encoding.ts'

const RUN = columns<Run>({
  id: plain('id'),
  schemaName: plain('schema_name'),
  viewName: plain('view_name'),
  refreshMode: plain('refresh_mode'),
  trigger: plain('trigger'),
  jobId: plain('job_id'),
  workerId: plain('worker_id'),
  startedAt: instant('started_at'),
  durationMs: plain('duration_ms'),
  status: plain('status'),
  error: errorText('error'),
  sizeBytes: bigint('size_bytes'),
  lockWaitMs: bigint('lock_wait_ms'),
})

/** The newest runs of a view, newest first. */
export async function listRuns(db: Database, view: ViewName, limit: number): Promise<Run[]> {
  if (!db.has('runs')) return []
  // The column came with the table of states.
  const missing = db.has('states') ? [] : (['lockWaitMs'] as const)
  const found = db.session.query<Stored<Run>>(
    `select ${RUN.select('h', missing)}
       from ${db.tables.runs} h
      where h.schema_name = $1 and h.view_name = $2
      order by h.started_at desc, h.id
      limit $3`,
    [view.schemaName, view.viewName, limit],
  )
  const rows = await found.catch(notFoundIfUnencodable(view))
  return rows.map(RUN.toRecord)
}
