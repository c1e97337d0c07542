import type {Database} from '../db/database.ts'
import {listViewNames} from '../db/names.ts'
import type {ViewNames} from '../lib/records/views.ts'

/** Which views to name. */
export interface ViewNamesFilter {
  /** A part of `schema.view`, in any case. */
  search: string
  /** Undefined for both. */
  isRegistered: boolean | undefined
  limit: number
  offset: number
}

/** The names of all materialized views, registered ones first, then by schema and name. */
export async function viewNames(
  db: Database,
  {search, isRegistered, limit, offset}: ViewNamesFilter,
): Promise<ViewNames> {
  const all = await listViewNames(db)
  const part = search.toLowerCase()
  const found = all.filter(
    ({schemaName, viewName, registered}) =>
      (isRegistered === undefined || registered === isRegistered) &&
      `${schemaName}.${viewName}`.toLowerCase().includes(part),
  )
  // Sorting keeps the order of equals.
  found.sort((a, b) => Number(b.registered) - Number(a.registered))
  return {
    items: found.slice(offset, offset + limit),
    total: found.length,
    counts: {all: all.length, registered: all.filter(({registered}) => registered).length},
  }
}
