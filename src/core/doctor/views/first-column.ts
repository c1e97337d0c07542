import {quoteIdentifier, quoteViewName} from '../../../lib/identifier.ts'
import {viewCheck} from '../check.ts'

/** Below, the order of the columns costs nothing that anybody notices. */
const LEAST_ROWS = 10_000
/**
 * Rows for each value of the first column from which a concurrent refresh was measured to take 3 to 4 times
 * as long.
 */
const ROWS_FOR_EACH = 100

/** The first column of the unique index has few values: a concurrent refresh compares many rows for each. */
export const firstColumn = viewCheck(
  'first-column',
  ({name, mode, shape, statistics, schemaName, viewName}) => {
    if (mode === 'standard' || statistics === null || shape.rows < LEAST_ROWS) return null
    const distinctOf = (column: string) => {
      const stored = statistics.distinct[column]
      if (stored === undefined) return null
      return Math.max(1, stored < 0 ? -stored * shape.rows : stored)
    }
    const usable = shape.indexes.filter(({isUsable}) => isUsable)
    const judged = usable.map(({name: index, columns}) => ({
      index,
      columns: columns.filter((column) => column !== null),
      distinct: distinctOf(columns[0] ?? ''),
    }))
    const [worst] = judged
    const isSlow = judged.every(({distinct}) => distinct !== null && shape.rows / distinct >= ROWS_FOR_EACH)
    if (!worst || !isSlow || worst.columns.length < 2) return null
    const better = [...worst.columns].sort((a, b) => (distinctOf(b) ?? 0) - (distinctOf(a) ?? 0))
    if (better[0] === worst.columns[0]) return null
    return {
      severity: 'warning',
      view: {schemaName, viewName},
      message: `the unique index ${worst.index} of ${name} begins with ${worst.columns[0]}, which has few values: concurrent refreshes take several times as long`,
      evidence: `${Math.round(worst.distinct ?? 0)} values in ${shape.rows} rows`,
      sql: `CREATE UNIQUE INDEX ON ${quoteViewName({schemaName, viewName})} (${better.map(quoteIdentifier).join(', ')}); DROP INDEX ${quoteIdentifier(schemaName)}.${quoteIdentifier(worst.index)};`,
    }
  },
)
