import {formatDuration} from '../../../lib/duration.ts'
import {viewCheck} from '../check.ts'

/** Fewer can be chance. */
const LEAST_RUNS = 3

/** Standard refreshes that waited for readers made later readers wait as well. */
export const waitingReaders = viewCheck(
  'waiting-readers',
  ({name, mode, runs, indexStatement, schemaName, viewName}) => {
    const waited = runs.filter((run) => run.mode === 'standard' && (run.lockWaitMs ?? 0) > 0)
    if (mode !== 'standard' || waited.length < LEAST_RUNS) return null
    const totalMs = waited.reduce((sum, {lockWaitMs}) => sum + (lockWaitMs ?? 0), 0)
    const view = {schemaName, viewName}
    return {
      severity: 'warning',
      view,
      message: `refreshes of ${name} in standard mode waited for readers, and made other readers wait`,
      evidence: `${waited.length} of the last ${runs.length} refreshes, ${formatDuration(totalMs)} in all`,
      repair: {kind: 'set-mode', view, mode: 'auto'},
      ...(indexStatement === null ? {} : {sql: indexStatement}),
    }
  },
)
