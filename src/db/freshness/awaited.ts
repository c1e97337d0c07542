import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {readablePayload, viewInPayload} from '../payload.ts'
import {isLive} from '../queue/sets.ts'

/** The views that a queued or running job refreshes, or that wait for their turn in a set. */
export async function awaitedViews(db: Database): Promise<ViewName[]> {
  const {jobs, edges} = db.tables
  const {schema, view} = viewInPayload(readablePayload('j.payload'))
  const sources = [
    db.has('jobs') &&
      `select ${schema} as "schemaName", ${view} as "viewName" from ${jobs} j
        where j.type = '${JOB_TYPE}' and j.state in ('queued', 'running') and ${view} is not null`,
    db.mayRead('edges') && `select e.schema_name, e.view_name from ${edges} e where ${isLive('e')}`,
  ].filter((source) => source !== false)
  return sources.length === 0 ? [] : db.session.query<ViewName>(sources.join('\n union\n'))
}
