import {qualifiedName} from '../../../lib/identifier.ts'
import type {Check} from '../check.ts'

const PATH_RESET_SINCE = 170_000

/** From PostgreSQL 17 on, a refresh finds names without a schema in pg_catalog alone. */
export const bareNames: Check = {
  name: 'bare-names',
  find: ({functions, serverVersion}) =>
    functions
      .filter(({bareNames}) => bareNames.length > 0)
      .map(({schemaName, viewName, signature, bareNames, schemas}) => {
        const isNow = serverVersion >= PATH_RESET_SINCE
        const name = qualifiedName({schemaName, viewName})
        return {
          severity: isNow ? ('error' as const) : ('info' as const),
          view: {schemaName, viewName},
          message: `${name} calls ${signature}, which reads ${bareNames.join(', ')} without a schema: ${isNow ? 'its refreshes fail' : 'from PostgreSQL 17 on its refreshes will fail'}`,
          sql: `ALTER FUNCTION ${signature} SET search_path = ${schemas.join(', ')}, pg_temp;`,
        }
      }),
}

/** The names behind FROM and JOIN that have no schema and are no part of a WITH. */
export function namesWithoutSchema(source: string): string[] {
  const text = source.replace(/--[^\n]*|\/\*.*?\*\//gs, ' ')
  const own = new Set(
    [...text.matchAll(/\b([a-z_]\w*)\s*(?:\([^()]*\)\s*)?as\s+(?:not\s+|materialized\s+)*\(/gi)].map(
      ([, name = '']) => name.toLowerCase(),
    ),
  )
  const names = [...text.matchAll(/\b(?:from|join)\s+(?:only\s+)?([a-z_][\w$]*)(?![\w$]*\s*[.(])/gi)].map(
    ([, name = '']) => name.toLowerCase(),
  )
  return [...new Set(names)].filter((name) => !own.has(name))
}
