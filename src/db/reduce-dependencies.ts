import type {FoundView, GraphEdge, OpaqueView, ViewEdges} from '../lib/records/graph.ts'
import type {ViewName} from '../lib/records/values.ts'

/** What the catalogs say of the materialized views. Edges can form cycles. */
export type Dependencies = Omit<ViewEdges, 'warnings'>

/** A materialized view, or an object that can lie between two of them. */
export type DependencyObject = {key: string; reads: readonly string[]} & (
  | {kind: 'matview'; node: FoundView}
  /** A plain view, a function or an operator; an operator has no label. */
  | {kind: 'between'; label: string | null; isOpaque: boolean}
)

type Matview = DependencyObject & {kind: 'matview'}
type Between = DependencyObject & {kind: 'between'}

/**
 * The edges between materialized views from all that the catalogs hold: whatever lies between two of them
 * goes into `through`. The answer keeps the order of the objects.
 */
export function reduceDependencies(objects: readonly DependencyObject[]): Dependencies {
  const graph = relevantObjects(objects)
  const nodes: FoundView[] = []
  const edges: GraphEdge[] = []
  const opaque: OpaqueView[] = []
  const position = new Map(objects.map(({key}, index) => [key, index]))
  const inOrder = (a: DependencyObject, b: DependencyObject) =>
    (position.get(a.key) ?? 0) - (position.get(b.key) ?? 0)
  const names = new Map<Matview, ViewName>()
  const nameOf = (view: Matview): ViewName => {
    const {schemaName, viewName} = view.node
    const name = names.get(view) ?? {schemaName, viewName}
    names.set(view, name)
    return name
  }
  for (const object of objects) {
    if (object.kind !== 'matview') continue
    nodes.push(object.node)
    const below = lookBelow(object, graph)
    const child = nameOf(object)
    for (const parent of [...below.parents.keys()].sort(inOrder)) {
      edges.push({parent: nameOf(parent), child, through: wayTo(parent, below)})
    }
    const opaqueOnes = below.between.filter(({isOpaque}) => isOpaque).sort(inOrder)
    for (const {label} of opaqueOnes) opaque.push({...child, function: label ?? ''})
  }
  return {nodes, edges, opaque}
}

/**
 * The objects by key, without objects that lead to no materialized view and no opaque function. Otherwise
 * each materialized view above a tower of plain views would walk through the whole tower.
 */
function relevantObjects(objects: readonly DependencyObject[]): Map<string, DependencyObject> {
  const relevant = new Map<string, DependencyObject>()
  for (const object of objects) if (object.kind === 'matview') relevant.set(object.key, object)
  const between = objects.filter((object) => object.kind === 'between')
  const readers = new Map<string, Between[]>()
  for (const object of between) {
    for (const key of object.reads) {
      const known = readers.get(key)
      if (known) known.push(object)
      else readers.set(key, [object])
    }
  }
  const toVisit = between.filter(({isOpaque, reads}) => isOpaque || reads.some((key) => relevant.has(key)))
  for (let object = toVisit.pop(); object; object = toVisit.pop()) {
    if (relevant.has(object.key)) continue
    relevant.set(object.key, object)
    toVisit.push(...(readers.get(object.key) ?? []))
  }
  return relevant
}

/** What a materialized view reads, down to the next materialized views. */
interface Below {
  /** The nearest first. */
  between: Between[]
  /** The objects between that read each parent. */
  parents: Map<Matview, Between[]>
  /** The objects between that read an object between. */
  readers: Map<Between, Between[]>
}

function lookBelow(child: Matview, graph: ReadonlyMap<string, DependencyObject>): Below {
  const below: Below = {between: [], parents: new Map(), readers: new Map()}
  const visit = (key: string, reader: Between | null) => {
    const object = graph.get(key)
    if (!object) return
    const before = object.kind === 'matview' ? below.parents.get(object) : below.readers.get(object)
    if (before) {
      if (reader) before.push(reader)
      return
    }
    const readers = reader ? [reader] : []
    if (object.kind === 'matview') below.parents.set(object, readers)
    else {
      below.readers.set(object, readers)
      below.between.push(object)
    }
  }
  for (const key of child.reads) visit(key, null)
  // Grows while it is walked through.
  for (const object of below.between) for (const key of object.reads) visit(key, object)
  return below
}

/** The labels of all that lies between the parent and the child, the nearest to the parent first. */
function wayTo(parent: Matview, {parents, readers}: Below): string[] {
  const way = new Set(parents.get(parent))
  for (const object of way) for (const reader of readers.get(object) ?? []) way.add(reader)
  return [...way].flatMap(({label}) => label ?? [])
}
