import type {CatalogView} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {readAllEdges, type ViewEdge} from '../db/edges.ts'
import {findSkipBlockers} from '../db/fingerprint/blockers.ts'
import {suggestUniqueIndexes} from '../db/index-suggestion.ts'
import {notPopulated, uniqueIndexRequired} from '../lib/failures/views.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {skipBlocker} from '../lib/skip-blockers.ts'
import type {UnwordedBlocker, UnwordedView} from '../lib/unworded.ts'

/** Why each view cannot be refreshed concurrently; an empty list where it can. */
export async function findConcurrentBlockers(
  db: Database,
  views: readonly CatalogView[],
): Promise<UnwordedBlocker[][]> {
  const lacking = views.filter((view) => !view.hasUniqueIndex)
  const statements = await suggestUniqueIndexes(db.session, lacking)
  return views.map((view) => [
    ...(view.populated ? [] : [notPopulated(view)]),
    ...(view.hasUniqueIndex
      ? []
      : [uniqueIndexRequired(view, view.unfitIndexes, statements.get(view.oid) ?? null)]),
  ])
}

/** Turns rows of the catalogs into documents of views. */
export async function toViews(db: Database, views: readonly CatalogView[]): Promise<UnwordedView[]> {
  const blockers = await findConcurrentBlockers(db, views)
  const always = await findSkipBlockers(db, views)
  const neighbours = neighboursIn(await readAllEdges(db))
  return views.map((view, position) => {
    const concurrentBlockers = blockers[position] ?? []
    const skipBlockers = (always.get(view.oid) ?? []).map(skipBlocker)
    return {
      schemaName: view.schemaName,
      viewName: view.viewName,
      owner: view.owner,
      populated: view.populated,
      sizeBytes: view.sizeBytes,
      registered: view.registered,
      concurrentReady: concurrentBlockers.length === 0,
      concurrentBlockers,
      skippable: skipBlockers.length === 0,
      skipBlockers,
      ...neighbours(qualifiedName(view)),
    }
  })
}

/** Gives the parents and children of a view by its qualified name, each in the order of their names. */
function neighboursIn(edges: readonly ViewEdge[]) {
  const parents = new Map<string, string[]>()
  const children = new Map<string, string[]>()
  const note = (map: Map<string, string[]>, from: string, to: string) => {
    const known = map.get(from)
    if (known) known.push(to)
    else map.set(from, [to])
  }
  for (const edge of edges) {
    const [parent, child] = [qualifiedName(edge.parent), qualifiedName(edge.child)]
    note(parents, child, parent)
    note(children, parent, child)
  }
  return (view: string): Pick<UnwordedView, 'parents' | 'children'> => ({
    parents: (parents.get(view) ?? []).sort(),
    children: (children.get(view) ?? []).sort(),
  })
}
