import type {ViewIndex} from '../../../db/doctor.ts'
import {quoteIdentifier} from '../../../lib/identifier.ts'
import {viewCheck} from '../check.ts'

/** Two unique indexes on the same columns, in any order: a concurrent refresh compares both. */
export const surplusIndex = viewCheck('surplus-index', ({name, shape, schemaName, viewName}) => {
  const seen = new Map<string, ViewIndex>()
  return shape.indexes
    .filter(({isUsable}) => isUsable)
    .flatMap((index) => {
      const key = JSON.stringify([...index.columns].sort())
      const first = seen.get(key)
      if (!first) {
        seen.set(key, index)
        return []
      }
      return [
        {
          severity: 'info' as const,
          view: {schemaName, viewName},
          message: `${name} has two unique indexes on the same columns, ${first.name} and ${index.name}: each refresh maintains both`,
          evidence: `columns ${index.columns.join(', ')}`,
          sql: `DROP INDEX ${quoteIdentifier(schemaName)}.${quoteIdentifier(index.name)};`,
        },
      ]
    })
})
