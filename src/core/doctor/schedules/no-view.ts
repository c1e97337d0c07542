import {qualifiedName} from '../../../lib/identifier.ts'
import {viewOfPayload} from '../../../lib/payload.ts'
import {scheduleCheck} from '../check.ts'

/** A schedule that names no view, or one that is not there. */
export const scheduleWithoutView = scheduleCheck('schedule-without-view', ({name, payload}, {missing}) => {
  const view = viewOfPayload(payload)
  const repair = {kind: 'disable-schedule', schedule: name} as const
  if (view === null) {
    return {
      severity: 'error',
      schedule: name,
      message: `the schedule ${name} fails: its payload names no view`,
      repair,
    }
  }
  if (!missing.has(qualifiedName(view))) return null
  return {
    severity: 'error',
    view,
    schedule: name,
    message: `the schedule ${name} fails: there is no materialized view ${qualifiedName(view)}`,
    repair,
  }
})
