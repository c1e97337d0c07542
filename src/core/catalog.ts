import {type CatalogView, describeView, findOtherRelation, listNearViewNames} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {suggestUniqueIndexes} from '../db/index-suggestion.ts'
import {findRenamedViews} from '../db/view-states.ts'
import type {AybError} from '../lib/errors.ts'
import {notPopulated, uniqueIndexRequired, viewNotFound, viewRenamed} from '../lib/failures/views.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {nearest} from '../lib/nearest.ts'
import type {ConcurrentBlocker, View, ViewName} from '../lib/records.ts'

/**
 * The view as the catalogs have it.
 * @throws AybError VIEW_NOT_FOUND, which tells what the name belongs to instead, what the view is called now, or what is near it
 */
export async function requireView(db: Database, name: ViewName): Promise<CatalogView> {
  const view = await describeView(db, name)
  if (!view) throw await explainMissingView(db, name)
  return view
}

/** The error for a name that is no materialized view's. */
export async function explainMissingView(db: Database, name: ViewName): Promise<AybError> {
  const other = await findOtherRelation(db.session, name)
  const [renamed] = await findRenamedViews(db, {from: name})
  if (renamed) return viewRenamed(renamed, other)
  const views = await listNearViewNames(db.session, name)
  return viewNotFound(name, other, nearestName(name, views))
}

/**
 * Among names, the one that somebody most likely meant: the same view elsewhere first, then a similar
 * spelling.
 */
export function nearestName(name: ViewName, names: readonly ViewName[]): string | null {
  const elsewhere = names.find(
    (candidate) =>
      candidate.viewName.toLowerCase() === name.viewName.toLowerCase() &&
      (candidate.viewName !== name.viewName || candidate.schemaName !== name.schemaName),
  )
  if (elsewhere) return qualifiedName(elsewhere)
  // Within one schema its name says nothing: only the views' own names are compared.
  const neighbours = names.filter((candidate) => candidate.schemaName === name.schemaName)
  const neighbour = nearest(
    name.viewName,
    neighbours.map(({viewName}) => viewName),
  )
  if (neighbour !== null) return qualifiedName({...name, viewName: neighbour})
  const others = names.filter((candidate) => candidate.schemaName !== name.schemaName)
  return nearest(qualifiedName(name), others.map(qualifiedName))
}

/** Why each view cannot be refreshed concurrently; an empty list where it can. */
export async function findConcurrentBlockers(
  db: Database,
  views: readonly CatalogView[],
): Promise<ConcurrentBlocker[][]> {
  const lacking = views.filter((view) => !view.hasUniqueIndex)
  const statements = await suggestUniqueIndexes(db.session, lacking)
  return views.map((view) => [
    ...(view.populated ? [] : [notPopulated(view)]),
    ...(view.hasUniqueIndex
      ? []
      : [uniqueIndexRequired(view, view.unfitIndexes, statements.get(view.oid) ?? null)]),
  ])
}

/** The documents of views from what the catalogs say. */
export async function toViews(db: Database, views: readonly CatalogView[]): Promise<View[]> {
  const blockers = await findConcurrentBlockers(db, views)
  return views.map((view, position) => {
    const concurrentBlockers = blockers[position] ?? []
    return {
      schemaName: view.schemaName,
      viewName: view.viewName,
      owner: view.owner,
      populated: view.populated,
      sizeBytes: view.sizeBytes,
      registered: view.registered,
      concurrentReady: concurrentBlockers.length === 0,
      concurrentBlockers,
    }
  })
}
