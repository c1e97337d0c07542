import {formatDuration} from '../../../lib/duration.ts'
import {viewCheck} from '../check.ts'
import {medianOf} from '../median.ts'

const TIMES = 5
const LEAST_MS = 1000
/** Before, nobody knows what is usual. */
const LEAST_RUNS = 5

/** The last refresh took much longer than those before. */
export const slowRefresh = viewCheck('slow-refresh', ({name, runs, schemaName, viewName}) => {
  const [last, ...before] = runs
    .filter(({status}) => status === 'success')
    .map(({durationMs}) => durationMs ?? 0)
  const usual = medianOf(before)
  if (last === undefined || usual === null || before.length < LEAST_RUNS) return null
  if (last < LEAST_MS || last < usual * TIMES) return null
  const view = {schemaName, viewName}
  return {
    severity: 'warning',
    view,
    message: `the last refresh of ${name} took much longer than usual`,
    evidence: `${formatDuration(last)}, where the ${before.length} before took ${formatDuration(usual)} (median)`,
    repair: {kind: 'show-history', view},
  }
})
