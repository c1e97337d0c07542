import {nextRuns, parseCron} from '../../../lib/cron.ts'
import {formatDuration} from '../../../lib/duration.ts'
import {qualifiedName} from '../../../lib/identifier.ts'
import {viewOfPayload} from '../../../lib/payload.ts'
import {isKeepable, refreshIntervalMs} from '../../../lib/promise.ts'
import type {Schedule} from '../../../lib/records/schedules.ts'
import {timingProblem} from '../../schedule-warnings.ts'
import {scheduleCheck} from '../check.ts'
import {medianOf} from '../median.ts'

/** A run that is late may catch up in a longer pause: the average counts. */
const RUNS = 6

const SHORTEST_MS = 1000

/** A schedule that comes up more often than the refreshes of its view last. */
export const scheduleTooOften = scheduleCheck('schedule-too-often', (schedule, {views, now}) => {
  const view = viewOfPayload(schedule.payload)
  const facts = view && views.get(qualifiedName(view))
  if (!view || !facts) return null
  const usual = medianOf(
    facts.runs.filter(({status}) => status === 'success').map(({durationMs}) => durationMs ?? 0),
  )
  // No schedule comes up more often than each second.
  if (usual === null || usual <= SHORTEST_MS) return null
  if (timingProblem(schedule) !== null) return null
  // A promise that cannot be kept: one refresh follows the other.
  const {maxAgeMs} = schedule
  if (maxAgeMs !== null && isKeepable(maxAgeMs, usual)) return null
  const intervalMs = maxAgeMs === null ? intervalOf(schedule, now) : refreshIntervalMs(maxAgeMs, usual)
  if (intervalMs === null || usual <= intervalMs) return null
  return {
    severity: 'warning',
    view,
    schedule: schedule.name,
    message: `the schedule ${schedule.name} cannot keep up: refreshes of ${qualifiedName(view)} take longer than its interval`,
    evidence: `${formatDuration(usual)} (median), every ${formatDuration(intervalMs)}`,
    repair: {kind: 'retime-schedule', schedule: schedule.name},
  }
})

/** How long it is from one of the next runs to another, on average; null where there are no two. */
function intervalOf({cronExpr, timezone}: Schedule, now: Date): number | null {
  const runs = nextRuns(parseCron(cronExpr), timezone, now, RUNS)
  const [first, last] = [runs[0], runs.at(-1)]
  return first && last && first !== last ? (last.getTime() - first.getTime()) / (runs.length - 1) : null
}
