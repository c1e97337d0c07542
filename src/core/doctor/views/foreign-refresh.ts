import {viewCheck} from '../check.ts'

/** An AYB server that still works on the same tables. */
const RECENTLY_MS = 7 * 86_400_000
/** The clocks of two statements. */
const MARGIN_MS = 2000

/** Another program, such as an AYB server, refreshed the view, which knows nothing of its policy. */
export const foreignRefresh = viewCheck(
  'foreign-refresh',
  ({name, registration, runs, schemaName, viewName}, {now}) => {
    const {lastRefreshAt, policy} = registration
    if (policy === null || lastRefreshAt === null) return null
    const stamped = Date.parse(lastRefreshAt)
    const own = Math.max(0, ...runs.map(({endedAt}) => (endedAt ?? 0) * 1000))
    if (stamped < own + MARGIN_MS || now.getTime() - stamped > RECENTLY_MS) return null
    return {
      severity: 'warning',
      view: {schemaName, viewName},
      message: `another program refreshes ${name}, such as an AYB server: it ignores the settings and limits of the view`,
      evidence: `the refresh at ${lastRefreshAt} is not in the history`,
    }
  },
)
