import {qualifiedName} from '../../../lib/identifier.ts'
import type {Check, Facts} from '../check.ts'

const PATH_RESET_SINCE = 170_000

/** From PostgreSQL 17 on, a refresh finds names without a schema in pg_catalog alone. */
export const bareNames: Check = {
  name: 'bare-names',
  find: (facts) =>
    facts.functions
      .filter(({bareNames}) => bareNames.length > 0)
      .flatMap(({views, ...called}) => views.map((view) => ({view, ...called})))
      .flatMap(({view, signature, bareNames, schemas}) => {
        const name = qualifiedName(view)
        const severity = severityOf(facts, name)
        if (severity === null) return []
        const isNow = facts.serverVersion >= PATH_RESET_SINCE
        return {
          severity,
          view,
          message: `${name} calls ${signature}, which seems to read ${bareNames.join(', ')} without a schema: ${isNow ? 'then its refreshes fail' : 'then its refreshes will fail from PostgreSQL 17 on'}`,
          evidence: 'a guess by the text of the function',
          sql: `ALTER FUNCTION ${signature} SET search_path = ${schemas.join(', ')}, pg_temp;`,
        }
      }),
}

/** Null where a refresh has succeeded since the server was started, perhaps behind an upgrade. */
function severityOf({serverVersion, serverStartedAt, views}: Facts, name: string) {
  if (serverVersion < PATH_RESET_SINCE) return 'info'
  const [last] = views.get(name)?.runs ?? []
  if (last?.status === 'success' && (last.endedAt ?? 0) > serverStartedAt) return null
  return last?.status === 'error' ? 'error' : 'warning'
}
