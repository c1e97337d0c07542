import {isAybError} from '../../../lib/errors.ts'
import {parseViewName, qualifiedName} from '../../../lib/identifier.ts'
import type {Check, Facts} from '../check.ts'

const MEGABYTE = 1024 * 1024

/** For each refresh. Below, the files cost nothing that anybody notices. */
const LEAST_BYTES = 10 * MEGABYTE

/** Refreshes write temporary files, since their work_mem is too small for what they sort and hash. */
export const temporaryFiles: Check = {
  name: 'temporary-files',
  find(facts) {
    return [...byView(facts)].flatMap(([name, {bytes, refreshes}]) => {
      const view = facts.views.get(name)
      if (!view || bytes / refreshes < LEAST_BYTES) return []
      const {schemaName, viewName} = view
      return [
        {
          severity: 'info' as const,
          view: {schemaName, viewName},
          message: `refreshes of ${name} write temporary files: other settings may be faster`,
          evidence: `${Math.round(bytes / refreshes / MEGABYTE)} MB each, in ${refreshes} refreshes that pg_stat_statements has counted`,
          repair: {kind: 'tune' as const, view: {schemaName, viewName}},
        },
      ]
    })
  },
}

/** Both modes, and the statements of all roles, together. */
function byView({temporaryFiles}: Facts): Map<string, {bytes: number; refreshes: number}> {
  const found = new Map<string, {bytes: number; refreshes: number}>()
  for (const {statement, bytes, refreshes} of temporaryFiles) {
    const name = nameIn(statement)
    if (name === null) continue
    const {bytes: others = 0, refreshes: before = 0} = found.get(name) ?? {}
    found.set(name, {bytes: bytes + others, refreshes: refreshes + before})
  }
  return found
}

/** The view that a REFRESH names with its schema, as the refreshes of ayb do. */
export function nameIn(statement: string): string | null {
  const [, name] =
    /^\s*refresh\s+materialized\s+view\s+(?:concurrently\s+)?(.+?)(?:\s+with\s+(?:no\s+)?data)?[\s;]*$/is.exec(
      statement,
    ) ?? []
  if (!name?.includes('.')) return null
  try {
    return qualifiedName(parseViewName(name))
  } catch (error) {
    if (isAybError(error)) return null
    throw error
  }
}
