import type {ViewIndex} from '../../../db/doctor.ts'
import {quoteIdentifier} from '../../../lib/identifier.ts'
import {viewCheck} from '../check.ts'

/**
 * Two unique indexes on the same columns: a concurrent refresh compares both. Which of two goes is for a
 * person to say where they differ in the order of the columns, for example.
 */
export const surplusIndex = viewCheck('surplus-index', ({name, shape, schemaName, viewName}) => {
  const seen = new Map<string, ViewIndex[]>()
  return shape.indexes
    .filter(({isUsable}) => isUsable)
    .flatMap((index) => {
      const key = JSON.stringify([...index.columns].sort())
      const others = seen.get(key) ?? []
      seen.set(key, [...others, index])
      const twin = others.find(({definition}) => definition === index.definition)
      const other = twin ?? others[0]
      if (!other) return []
      return [
        {
          severity: 'info' as const,
          view: {schemaName, viewName},
          message: `${name} has two unique indexes on the same columns, ${other.name} and ${index.name}: each refresh maintains both`,
          evidence: twin ? columnsOf(index) : `${columnsOf(other)}; ${columnsOf(index)}`,
          ...(twin && {sql: `DROP INDEX ${quoteIdentifier(schemaName)}.${quoteIdentifier(index.name)};`}),
        },
      ]
    })
})

const columnsOf = ({columns}: ViewIndex): string => `columns ${columns.join(', ')}`
