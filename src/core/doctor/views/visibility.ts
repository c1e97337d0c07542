import {quoteViewName} from '../../../lib/identifier.ts'
import {viewCheck} from '../check.ts'

/** 8 MB. */
const LEAST_PAGES = 1000

/**
 * A standard refresh makes a new table, of which no page is known to be visible to all: queries that read an
 * index alone read the table, too.
 */
export const visibility = viewCheck('visibility', ({name, shape, runs, schemaName, viewName}) => {
  const last = runs.find(({status}) => status === 'success')
  if (last?.mode !== 'standard' || shape.indexes.length === 0 || shape.pages < LEAST_PAGES) return null
  if (shape.allVisiblePages * 2 >= shape.pages) return null
  const view = {schemaName, viewName}
  return {
    severity: 'info',
    view,
    message: `${name} was not vacuumed since its last standard refresh: index-only scans must also read the view itself`,
    evidence: `${shape.allVisiblePages} of ${shape.pages} pages are marked as visible to all`,
    sql: `VACUUM ${quoteViewName(view)};`,
  }
})
