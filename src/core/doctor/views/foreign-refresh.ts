import {type ViewFacts, viewCheck} from '../check.ts'

/** An AYB server that still works on the same tables. */
const RECENTLY_MS = 7 * 86_400_000
/** The clocks of two statements. */
const MARGIN_MS = 2000

/** Another program, such as an AYB server, refreshed the view, which knows nothing of its policy. */
export const foreignRefresh = viewCheck('foreign-refresh', (facts, {now}) => {
  const {name, registration, schemaName, viewName} = facts
  const refreshedAt = foreignRefreshOf(facts, now)
  if (registration.policy === null || refreshedAt === null) return null
  return {
    severity: 'warning',
    view: {schemaName, viewName},
    message: `another program refreshes ${name}, such as an AYB server: it ignores the settings and limits of the view`,
    evidence: foreignEvidence(refreshedAt),
  }
})

/**
 * When another program refreshed the view last with success, as far as that was within a week; null where none
 * did, or where the history cannot tell. A failure tells nothing: its time is that of its record, which may
 * come long after its end. Old runs are deleted first, so an older run tells that none is missing since.
 */
export function foreignRefreshOf(
  {registration: {lastRefreshAt, lastRefreshStatus}, runs}: Pick<ViewFacts, 'registration' | 'runs'>,
  now: Date,
): string | null {
  const ends = runs.flatMap(({endedAt}) => (endedAt === null ? [] : [endedAt * 1000]))
  if (lastRefreshAt === null || lastRefreshStatus !== 'success' || ends.length === 0) return null
  const stamped = Date.parse(lastRefreshAt)
  const isOwn = stamped < Math.max(...ends) + MARGIN_MS
  return isOwn || now.getTime() - stamped > RECENTLY_MS ? null : lastRefreshAt
}

export const foreignEvidence = (refreshedAt: string): string =>
  `the refresh at ${refreshedAt} is not in the history`
