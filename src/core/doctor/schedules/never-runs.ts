import {viewOfPayload} from '../../../lib/payload.ts'
import {isUntimed, timingProblem} from '../../schedule-warnings.ts'
import {scheduleCheck} from '../check.ts'

/** An expression or a zone that nobody understands, or no next run. */
export const scheduleNeverRuns = scheduleCheck('schedule-never-runs', (schedule) => {
  const {name} = schedule
  const view = viewOfPayload(schedule.payload)
  const place = {schedule: name, ...(view && {view})}
  const problem = timingProblem(schedule)
  if (problem !== null) {
    return {
      severity: 'error',
      ...place,
      message: `the schedule ${name} never runs: ${problem}`,
      repair: {kind: 'retime-schedule', schedule: name},
    }
  }
  if (!isUntimed(schedule)) return null
  return {
    severity: 'warning',
    ...place,
    message: `the schedule ${name} has no next run`,
    repair: {kind: 'enable-schedule', schedule: name},
  }
})
