import {qualifiedName} from '../../../lib/identifier.ts'
import {viewOfPayload} from '../../../lib/payload.ts'
import {hasPolicy} from '../../../lib/schedule-policy.ts'
import {scheduleCheck} from '../check.ts'
import {foreignEvidence, foreignRefreshOf} from '../views/foreign-refresh.ts'

/** Another program, such as an AYB server, runs a schedule, of whose policy and max age it knows nothing. */
export const ignoredPolicy = scheduleCheck('ignored-policy', (schedule, {views, now}) => {
  const view = viewOfPayload(schedule.payload)
  const facts = view && views.get(qualifiedName(view))
  const isPlain = schedule.maxAgeMs === null && !hasPolicy(schedule)
  const refreshedAt = facts && !isPlain ? foreignRefreshOf(facts, now) : null
  if (!view || !refreshedAt) return null
  const {maxAgeMs, jitterMs, catchUp, notDuring, name} = schedule
  const ignored = [
    ...(maxAgeMs === null ? [] : ['its max age']),
    ...(jitterMs === null ? [] : ['its jitter']),
    ...(catchUp === 'latest' ? [] : ['its catch-up']),
    ...(notDuring.length === 0 ? [] : ['its quiet times']),
  ]
  return {
    severity: 'warning',
    view,
    schedule: name,
    message: `another program refreshes ${qualifiedName(view)}, such as an AYB server: where it runs the schedule ${name}, it ignores ${ignored.join(' and ')}`,
    evidence: foreignEvidence(refreshedAt),
  }
})
