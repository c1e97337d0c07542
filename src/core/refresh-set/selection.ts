import {type Graph, reach} from '../../lib/graph.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {Registration} from '../../lib/records/registrations.ts'

/** Which views a set is made of. */
export interface Selection {
  /** The views that were named; null for all registered views. */
  named: readonly Registration[] | null
  /** Of all views, those of this schema. */
  schemaName: string | null
  /** Only views that hold no data. */
  isUnpopulated: boolean
  /** Also the registered views that read these views, directly or not. */
  isCascade: boolean
  /** Also the registered views that these views, and those of a cascade, read, directly or not. */
  isWithDependencies: boolean
}

/** What a selection is made from. */
export interface Catalog {
  registrations: readonly Registration[]
  /** The materialized views that hold no data, by qualified names. */
  unpopulated: ReadonlySet<string>
  /** With all edges. */
  graph: Graph
}

/**
 * The registrations that belong to the set, in the order of the catalog. An unregistered view in between is
 * passed through.
 */
export function selectMembers(catalog: Catalog, selection: Selection): Registration[] {
  const {registrations, unpopulated, graph} = catalog
  const {named, schemaName, isUnpopulated} = selection
  const seeds = (named ?? registrations)
    .filter((registration) => schemaName === null || registration.schemaName === schemaName)
    .map(qualifiedName)
    .filter((view) => !isUnpopulated || unpopulated.has(view))
  const members = new Set(seeds)
  if (selection.isCascade) for (const view of reach(seeds, graph.children)) members.add(view)
  if (selection.isWithDependencies) for (const view of reach(members, graph.parents)) members.add(view)
  return registrations.filter((registration) => members.has(qualifiedName(registration)))
}
