import {listViewOids} from '../../db/catalog.ts'
import type {Database} from '../../db/database.ts'
import {readDependencies} from '../../db/dependencies.ts'
import type {ViewEdge} from '../../db/edges.ts'
import {findSkipBlockers} from '../../db/fingerprint/blockers.ts'
import type {FoundBlocker} from '../../db/fingerprint/definitions.ts'
import type {Dependencies} from '../../db/reduce-dependencies.ts'
import {allDone} from '../../lib/all-done.ts'
import {cycleWarning} from '../../lib/failures/views.ts'
import {reach, untangle} from '../../lib/graph.ts'
import {qualifiedName, type ViewReference} from '../../lib/identifier.ts'
import type {ViewEdges, ViewGraph} from '../../lib/records/graph.ts'
import type {ViewName} from '../../lib/records/values.ts'
import {skipBlocker} from '../../lib/skip-blockers.ts'
import type {Unworded} from '../../lib/unworded.ts'
import {viewStates} from '../freshness/status.ts'
import {requireRegistration, requireView} from '../lookup.ts'

/**
 * Which materialized views read which; with `references`, only these views and what is connected to them: the
 * views that they read, and those that read them, directly or not. A cycle is left out, with a warning.
 * @throws AybError NOT_REGISTERED, VIEW_NOT_FOUND
 */
export const viewEdges = async (
  db: Database,
  references: readonly ViewReference[] = [],
): Promise<Unworded<ViewEdges>> => (await readGraph(db, references)).shown

/**
 * The same, with how fresh the views are, and whether they can be skipped. To read the definitions of
 * thousands of views takes the server half a second. Where all are to be shown, the server does that while this
 * program arranges the graph and the states. The statement for the definitions needs OIDs, so the OIDs are asked
 * for first: this program reads no answer while it arranges.
 */
export async function viewGraph(
  db: Database,
  references: readonly ViewReference[] = [],
): Promise<Unworded<ViewGraph>> {
  const searching = references.length === 0 ? blockersOf(db, null) : new Map<string, FoundBlocker[]>()
  const reading = readGraph(db, references)
  const edges = reading.then(({all}) => all.edges)
  const [early, {shown}, states] = await allDone([searching, reading, viewStates(db, edges)])
  // Where only some views are to be shown, and views that were created since.
  const left = new Set(shown.nodes.map(qualifiedName).filter((name) => !early.has(name)))
  const blockers = new Map([...early, ...(left.size > 0 ? await blockersOf(db, left) : [])])
  return {
    ...shown,
    nodes: shown.nodes.map((node) => {
      const skipBlockers = (blockers.get(qualifiedName(node)) ?? []).map(skipBlocker)
      const state = states.get(qualifiedName(node)) ?? null
      return {...node, state, skippable: skipBlockers.length === 0, skipBlockers}
    }),
    warnings: [...shown.warnings, ...db.takeWarnings()],
  }
}

/** Why views are always refreshed, by qualified names: all views, or those of these names. */
async function blockersOf(
  db: Database,
  names: ReadonlySet<string> | null,
): Promise<Map<string, FoundBlocker[]>> {
  const views = (await listViewOids(db)).filter((view) => names === null || names.has(qualifiedName(view)))
  const found = await findSkipBlockers(db, views)
  return new Map(views.map((view) => [qualifiedName(view), found.get(view.oid) ?? []]))
}

/** The whole graph, and the part that is to be shown. */
async function readGraph(
  db: Database,
  references: readonly ViewReference[],
): Promise<{all: Dependencies; shown: Unworded<ViewEdges>}> {
  const names: ViewName[] = []
  for (const reference of references) {
    names.push('id' in reference ? await requireRegistration(db, reference) : reference)
  }
  const all = await readDependencies(db)
  const known = new Set(all.nodes.map(qualifiedName))
  const missing = names.find((name) => !known.has(qualifiedName(name)))
  if (missing) {
    await requireView(db, missing)
    // Created since we looked.
    return readGraph(db, references)
  }
  const {graph, whole, cycles} = untangle(all.edges)
  const isKept = ({parent, child}: ViewEdge) =>
    graph === whole || graph.children.get(qualifiedName(parent))?.has(qualifiedName(child))
  const edges = all.edges.filter(isKept)
  const meant = names.map(qualifiedName)
  const shownNames = new Set([...meant, ...reach(meant, whole.parents), ...reach(meant, whole.children)])
  const isShown = (view: ViewName) => names.length === 0 || shownNames.has(qualifiedName(view))
  const shownCycles = cycles.filter(
    (views) => names.length === 0 || views.some((view) => shownNames.has(view)),
  )
  const shown = {
    nodes: all.nodes.filter(isShown),
    edges: edges.filter(({parent, child}) => isShown(parent) && isShown(child)),
    opaque: all.opaque.filter(isShown),
    warnings: [...db.takeWarnings(), ...shownCycles.map(cycleWarning)],
  }
  return {all, shown}
}
