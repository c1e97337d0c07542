import {viewCheck} from '../check.ts'

const PAGE = 8192
/** What a row costs beside its columns. */
const ROW_OVERHEAD = 28
/** 8 MB. Below, nobody gains from a smaller view. */
const LEAST_PAGES = 1000
const TIMES = 4

/** The view is much larger than its rows: concurrent refreshes leave dead rows behind. */
export const bloat = viewCheck('bloat', ({name, shape, statistics, schemaName, viewName}) => {
  if (statistics === null || shape.rows < 0 || shape.pages < LEAST_PAGES) return null
  const needed = Math.max(1, Math.ceil((shape.rows * (statistics.width + ROW_OVERHEAD)) / PAGE))
  if (shape.pages < needed * TIMES) return null
  const view = {schemaName, viewName}
  return {
    severity: 'warning',
    view,
    message: `${name} is much larger than its rows: concurrent refreshes left dead rows behind`,
    evidence: `${shape.pages} pages of 8 kB, where about ${needed} would do`,
    repair: {kind: 'refresh', view, mode: 'standard'},
  }
})
