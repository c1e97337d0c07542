import {qualifiedName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {UNCHANGED_VIEWS} from '../migrations/0006-unchanged-views.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'

/**
 * When a look last found that nothing had changed since the last refresh of a view, in milliseconds since
 * 1970, by qualified names: of these views, or of all.
 */
export async function lastUnchangedLooks(
  db: Database,
  views: readonly ViewName[] | null,
): Promise<Map<string, number>> {
  if (!db.hasApplied(UNCHANGED_VIEWS) || !db.mayRead('states')) return new Map()
  const read = db.session.query<{schema_name: string; view_name: string; checked_ms: number}>(
    `select s.schema_name, s.view_name, extract(epoch from s.checked_at)::float8 * 1000 as checked_ms
       from ${db.tables.states} s
      where s.unchanged_checks > 0 and isfinite(s.checked_at)
        ${views ? 'and (s.schema_name, s.view_name) in (select * from unnest($1::text[], $2::text[]))' : ''}`,
    views ? [views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName)] : [],
  )
  // An older ayb has made the table again, without the columns.
  const rows = await read.catch((error) => {
    if (!hasSqlstate(error, SQLSTATE.UNDEFINED_COLUMN)) throw error
    return []
  })
  return new Map(
    rows.map((row) => [
      qualifiedName({schemaName: row.schema_name, viewName: row.view_name}),
      row.checked_ms,
    ]),
  )
}
