import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {readablePayload, viewInPayload} from '../payload.ts'
import {isLive} from '../queue/sets.ts'

/** The registered views that a queued or running job refreshes, or that wait for their turn in a set. */
export async function viewsWithJobs(db: Database): Promise<ViewName[]> {
  const {registrations, jobs, edges} = db.tables
  const {schema, view} = viewInPayload(readablePayload('j.payload'))
  const sources = [
    db.has('jobs') &&
      `select ${schema}, ${view} from ${jobs} j
        where j.type = '${JOB_TYPE}' and j.state in ('queued', 'running')`,
    db.mayRead('edges') && `select e.schema_name, e.view_name from ${edges} e where ${isLive('e')}`,
  ].filter((source) => source !== false)
  if (sources.length === 0 || !db.has('registrations')) return []
  return db.session.query<ViewName>(
    `select r.schema_name as "schemaName", r.view_name as "viewName" from ${registrations} r
      where (r.schema_name, r.view_name) in (${sources.join('\n union all\n')})`,
  )
}
