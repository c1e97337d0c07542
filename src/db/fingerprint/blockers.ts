import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {type FoundBlocker, readDefinitionBlockers} from './definitions.ts'
import {tellsChanges} from './look.ts'
import {FIRST_UNKNOWN_VERSION, relationBlockersSql, surroundingsSql} from './statement.ts'

/** Why each view is always refreshed, by OID, in one order; an empty list for a view that can be skipped. */
export async function findSkipBlockers(
  db: Database,
  views: readonly (ViewName & {oid: number})[],
): Promise<Map<number, FoundBlocker[]>> {
  const found = new Map(views.map(({oid}) => [oid, [] as FoundBlocker[]]))
  if (views.length === 0) return found
  if (!tellsChanges(db)) return new Map(views.map(({oid}) => [oid, [{kind: 'old-version', name: ''}]]))
  const definitions = await readDefinitionBlockers(db, [...found.keys()])
  const relations = await db.session.query<FoundBlocker & {oid: number}>(
    relationBlockersSql('$1::oid[]', '$2::oid[]'),
    [definitions.flatMap(({oid, base}) => base.map(() => oid)), definitions.flatMap(({base}) => base)],
  )
  const everywhere = await db.session.query<FoundBlocker>(surroundingsSql)
  if (db.session.serverVersion >= FIRST_UNKNOWN_VERSION) everywhere.push({kind: 'version', name: ''})
  const lenient = await findTimeLimits(db, views)
  for (const {oid, blockers} of definitions) found.get(oid)?.push(...blockers)
  for (const {oid, kind, name} of relations) found.get(oid)?.push({kind, name})
  for (const [oid, blockers] of found) {
    blockers.push(...everywhere)
    if (lenient.has(oid) && blockers.every(({kind}) => kind === 'clock')) blockers.length = 0
  }
  return found
}

/** The views whose user has said how much time may pass between two refreshes. */
async function findTimeLimits(
  db: Database,
  views: readonly (ViewName & {oid: number})[],
): Promise<Set<number>> {
  if (!db.mayRead('policies')) return new Set()
  const rows = await db.session.query<{oid: number}>(
    `select v.oid
       from unnest($1::oid[], $2::text[], $3::text[]) v(oid, schema_name, view_name)
       join ${db.tables.policies} p on p.schema_name = v.schema_name and p.view_name = v.view_name
      where p.refresh_at_least_every_ms is not null`,
    [views.map(({oid}) => oid), views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName)],
  )
  return new Set(rows.map(({oid}) => oid))
}
