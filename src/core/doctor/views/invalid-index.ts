import {quoteIdentifier} from '../../../lib/identifier.ts'
import {viewCheck} from '../check.ts'

/** An index that a failed CREATE INDEX CONCURRENTLY left behind: it costs, and helps nobody. */
export const invalidIndex = viewCheck('invalid-index', ({name, shape, schemaName, viewName}) =>
  shape.indexes
    .filter(({isValid}) => !isValid)
    .map((index) => ({
      severity: 'warning',
      view: {schemaName, viewName},
      message: `the index ${index.name} of ${name} is not valid: each refresh maintains it, and no query uses it`,
      sql: `REINDEX INDEX ${quoteIdentifier(schemaName)}.${quoteIdentifier(index.name)};`,
    })),
)
