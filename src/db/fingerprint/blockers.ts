import {allDone} from '../../lib/all-done.ts'
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
  const [definitions, everywhere, lenient] = await allDone([
    readDefinitionBlockers(db, [...found.keys()]),
    db.session.query<FoundBlocker>(surroundingsSql),
    findTimeLimits(db, views),
  ])
  if (db.session.serverVersion >= FIRST_UNKNOWN_VERSION) everywhere.push({kind: 'version', name: ''})
  const blockersBelow = await findRelationBlockers(db, new Set(definitions.flatMap(({base}) => base)))
  for (const {oid, base, blockers} of definitions) {
    found.get(oid)?.push(...blockers, ...(blockersBelow.size > 0 ? gather(base, blockersBelow) : []))
  }
  for (const [oid, blockers] of found) {
    blockers.push(...everywhere)
    if (lenient.has(oid) && blockers.every(({kind}) => kind === 'clock')) blockers.length = 0
  }
  return found
}

/** What forbids skipping in a relation under a view. */
interface RelationBlocker extends FoundBlocker {
  relation: number
}

/** What forbids skipping in these relations, and in their partitions and children, by OID. */
async function findRelationBlockers(
  db: Database,
  relations: ReadonlySet<number>,
): Promise<Map<number, RelationBlocker[]>> {
  const rows = await db.session.query<RelationBlocker & {oid: number}>(relationBlockersSql('$1::oid[]'), [
    [...relations],
  ])
  const found = new Map<number, RelationBlocker[]>()
  for (const {oid, ...blocker} of rows) found.set(oid, [...(found.get(oid) ?? []), blocker])
  return found
}

/** The blockers of all these relations, in one order; those of a partition that is named itself, too, once. */
function gather(
  relations: readonly number[],
  blockersOf: ReadonlyMap<number, readonly RelationBlocker[]>,
): FoundBlocker[] {
  const found = new Map<string, FoundBlocker>()
  for (const oid of relations) {
    for (const {relation, kind, name} of blockersOf.get(oid) ?? [])
      found.set(`${kind} ${relation}`, {kind, name})
  }
  return [...found.values()].sort((a, b) => compare(a.kind, b.kind) || compare(a.name, b.name))
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

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
