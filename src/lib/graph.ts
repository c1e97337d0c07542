import {qualifiedName} from './identifier.ts'
import type {ViewName} from './records/values.ts'

/** One materialized view reads another, directly or through plain views, functions and operators. */
export interface Edge {
  parent: ViewName
  child: ViewName
}

/** Which view reads which, by qualified names. */
export interface Graph {
  parents: Neighbours
  children: Neighbours
}

export type Neighbours = ReadonlyMap<string, ReadonlySet<string>>

/** A graph, and the cycles in it. */
export interface Untangled {
  /** With all edges: for questions about which views are connected. */
  whole: Graph
  /** Without the edges inside a cycle: for an order. */
  graph: Graph
  /** The views of each cycle. */
  cycles: string[][]
}

/**
 * The graph of the edges, and the same without the edges inside a cycle: CREATE OR REPLACE VIEW can make a
 * view read a materialized view that reads this view. No order suits a cycle.
 */
export function untangle(edges: readonly Edge[]): Untangled {
  const whole = graphOf(edges.map(({parent, child}) => [qualifiedName(parent), qualifiedName(child)]))
  const components = stronglyConnected(whole.children)
  const componentOf = new Map(
    components.flatMap((views, index) => views.map((view) => [view, index] as const)),
  )
  const kept: [string, string][] = []
  const tangled = new Set<number>()
  for (const [parent, children] of whole.children) {
    for (const child of children) {
      const component = componentOf.get(parent)
      if (component === undefined || component !== componentOf.get(child)) kept.push([parent, child])
      else tangled.add(component)
    }
  }
  const graph = tangled.size === 0 ? whole : graphOf(kept)
  return {whole, graph, cycles: components.filter((_, index) => tangled.has(index))}
}

/**
 * All views that the edges lead to from the starting points, without the starting points that no edge leads
 * to.
 */
export function reach(from: Iterable<string>, edges: Neighbours): Set<string> {
  const reached = new Set<string>()
  const toVisit = [...from]
  for (let view = toVisit.pop(); view !== undefined; view = toVisit.pop()) {
    for (const next of edges.get(view) ?? []) {
      if (reached.has(next)) continue
      reached.add(next)
      toVisit.push(next)
    }
  }
  return reached
}

/** The graph of pairs of a parent and a child. */
const graphOf = (pairs: readonly (readonly [string, string])[]): Graph => ({
  children: neighbours(pairs),
  parents: neighbours(pairs.map(([parent, child]) => [child, parent])),
})

function neighbours(pairs: readonly (readonly [string, string])[]): Map<string, Set<string>> {
  const map = new Map<string, Set<string>>()
  for (const [from, to] of pairs) {
    const known = map.get(from)
    if (known) known.add(to)
    else map.set(from, new Set([to]))
  }
  return map
}

interface Visit {
  view: string
  rest: Iterator<string>
}

/** Tarjan's algorithm, without recursion: a chain of thousands of views would overflow the stack. */
function stronglyConnected(edges: Neighbours): string[][] {
  const components: string[][] = []
  const indexes = new Map<string, number>()
  const lowest = new Map<string, number>()
  const open: string[] = []
  const isOpen = new Set<string>()
  const path: Visit[] = []

  const enter = (view: string) => {
    indexes.set(view, indexes.size)
    lowest.set(view, indexes.size - 1)
    open.push(view)
    isOpen.add(view)
    path.push({view, rest: (edges.get(view) ?? new Set<string>()).values()})
  }
  const lower = (view: string, to: number) => lowest.set(view, Math.min(lowest.get(view) ?? to, to))
  const leave = ({view}: Visit) => {
    const low = lowest.get(view) ?? 0
    const reader = path.at(-1)
    if (reader) lower(reader.view, low)
    if (low !== indexes.get(view)) return
    const component = open.splice(open.lastIndexOf(view))
    for (const member of component) isOpen.delete(member)
    components.push(component.reverse())
  }

  for (const root of edges.keys()) {
    if (indexes.has(root)) continue
    enter(root)
    for (let visit = path.at(-1); visit; visit = path.at(-1)) {
      const next = visit.rest.next()
      if (next.done) {
        path.pop()
        leave(visit)
      } else if (!indexes.has(next.value)) enter(next.value)
      else if (isOpen.has(next.value)) lower(visit.view, indexes.get(next.value) ?? 0)
    }
  }
  return components
}
