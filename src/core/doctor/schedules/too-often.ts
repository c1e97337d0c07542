import {nextRuns, parseCron} from '../../../lib/cron.ts'
import {formatDuration} from '../../../lib/duration.ts'
import {qualifiedName} from '../../../lib/identifier.ts'
import {viewOfPayload} from '../../../lib/payload.ts'
import {timingProblem} from '../../schedule-warnings.ts'
import {scheduleCheck} from '../check.ts'
import {medianOf} from '../median.ts'

/** Enough for `0,1 * * * *`: the shortest pause counts least, since a late run may catch up in a longer one. */
const RUNS = 6

/** A schedule that comes up more often than the refreshes of its view last. */
export const scheduleTooOften = scheduleCheck('schedule-too-often', (schedule, {views, now}) => {
  const view = viewOfPayload(schedule.payload)
  const facts = view && views.get(qualifiedName(view))
  if (!view || !facts || timingProblem(schedule) !== null) return null
  const usual = medianOf(
    facts.runs.filter(({status}) => status === 'success').map(({durationMs}) => durationMs ?? 0),
  )
  if (usual === null) return null
  const runs = nextRuns(parseCron(schedule.cronExpr), schedule.timezone, now, RUNS)
  const [first, last] = [runs[0], runs.at(-1)]
  if (!first || !last || first === last) return null
  const intervalMs = (last.getTime() - first.getTime()) / (runs.length - 1)
  if (usual <= intervalMs) return null
  return {
    severity: 'warning',
    view,
    schedule: schedule.name,
    message: `the schedule ${schedule.name} cannot keep up: refreshes of ${qualifiedName(view)} take longer than its interval`,
    evidence: `${formatDuration(usual)} (median), every ${formatDuration(intervalMs)}`,
    repair: {kind: 'retime-schedule', schedule: schedule.name},
  }
})
