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

/** When another program refreshed the view last, as far as that was within a week; null where none did. */
export function foreignRefreshOf({registration, runs}: ViewFacts, now: Date): string | null {
  const {lastRefreshAt} = registration
  if (lastRefreshAt === null) return null
  const stamped = Date.parse(lastRefreshAt)
  const own = Math.max(0, ...runs.map(({endedAt}) => (endedAt ?? 0) * 1000))
  return stamped < own + MARGIN_MS || now.getTime() - stamped > RECENTLY_MS ? null : lastRefreshAt
}

export const foreignEvidence = (refreshedAt: string): string =>
  `the refresh at ${refreshedAt} is not in the history`
