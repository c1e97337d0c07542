import {qualifiedName} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {FoundView, GraphEdge, ViewEdges} from '../lib/records/graph.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {RenderContext, Terminal} from './terminal.ts'
import {printableName} from './text.ts'
import {displayWidth, shorten, shortenMiddle} from './width.ts'

/** Room for a name behind the branches; a path that leaves less is continued as a tree of its own. */
const NAME_COLUMNS = 30

const UNTRACKED = 'Postgres does not track what these functions read, so the graph may lack edges:'

/** A view with the views that read it. */
interface Branch {
  node: FoundView
  children: {edge: GraphEdge; branch: Branch}[]
  hasParents: boolean
}

/** A part of a line. */
interface Part {
  text: string
  style: 'dim' | 'yellow' | null
}

/**
 * The graph as trees: below each view those that read it. A view with several parents is drawn in full below
 * the first of them, and named below the others. Cut at the width of a terminal, whole in a pipe.
 */
export function renderTree(graph: ViewEdges, {terminal}: RenderContext): string {
  if (graph.nodes.length === 0) {
    return terminal.isTerminal
      ? 'This database has no materialized views. Make one with: CREATE MATERIALIZED VIEW … AS SELECT …'
      : ''
  }
  const lines = drawTrees(branchesOf(graph), terminal)
  if (graph.opaque.length > 0) {
    lines.push('', terminal.isTerminal ? terminal.style.bold(UNTRACKED) : UNTRACKED)
    for (const view of graph.opaque) lines.push(`  ${printableName(view)} calls ${printable(view.function)}`)
  }
  return lines.join('\n')
}

/** Views without any edge come last. */
function branchesOf({nodes, edges}: ViewEdges): Branch[] {
  const branches = new Map<string, Branch>()
  for (const node of nodes) branches.set(qualifiedName(node), {node, children: [], hasParents: false})
  const find = (view: ViewName) => branches.get(qualifiedName(view))
  for (const edge of edges) {
    const branch = find(edge.child)
    if (!branch) continue
    find(edge.parent)?.children.push({edge, branch})
    branch.hasParents = true
  }
  const roots = [...branches.values()].filter(({hasParents}) => !hasParents)
  const isAlone = (branch: Branch) => branch.children.length === 0
  return [...roots.filter((root) => !isAlone(root)), ...roots.filter(isAlone)]
}

function drawTrees(roots: readonly Branch[], terminal: Terminal): string[] {
  const lines: string[] = []
  const drawn = new Set<Branch>()
  const deepest = terminal.columns - NAME_COLUMNS
  // Grows while it is walked through.
  const toDraw = new Set(roots)
  const draw = (branch: Branch, edge: GraphEdge | null, first: string, rest: string) => {
    const isTooDeep = edge !== null && rest.length > deepest && branch.children.length > 0
    const isElsewhere = drawn.has(branch) || isTooDeep
    const reference = drawn.has(branch) ? 'see above' : 'see below'
    lines.push(line(first, branch.node, edge, isElsewhere ? reference : null, terminal))
    if (drawn.has(branch)) return
    if (isTooDeep) {
      toDraw.add(branch)
      return
    }
    drawn.add(branch)
    const last = branch.children.length - 1
    for (const [index, child] of branch.children.entries()) {
      const [turn, trunk] = index === last ? ['└─ ', '   '] : ['├─ ', '│  ']
      draw(child.branch, child.edge, rest + turn, rest + trunk)
    }
  }
  for (const root of toDraw) if (!drawn.has(root)) draw(root, null, '', '')
  return lines
}

function line(
  indent: string,
  node: FoundView,
  edge: GraphEdge | null,
  reference: string | null,
  {isTerminal, columns, style}: Terminal,
): string {
  const parts: Part[] = [{text: printableName(node), style: null}]
  if (reference !== null) parts.push({text: ` (${reference})`, style: 'dim'})
  else for (const mark of marksOf(node)) parts.push({text: `  ${mark}`, style: 'yellow'})
  if (edge && edge.through.length > 0)
    parts.push({text: `  through ${edge.through.map(printable).join(' → ')}`, style: 'dim'})
  let room = isTerminal ? columns - indent.length : Number.POSITIVE_INFINITY
  let drawn = ''
  for (const [index, part] of parts.entries()) {
    // The ends of names tell them apart.
    const cut = index === 0 ? shortenMiddle : shorten
    const text = room === Number.POSITIVE_INFINITY ? part.text : cut(part.text, room)
    room -= displayWidth(text)
    drawn += part.style ? style[part.style](text) : text
  }
  return `${indent}${drawn}`.trimEnd()
}

/** What a reader of the graph should know of a view. */
export function marksOf(node: FoundView): string[] {
  return [...(node.registered ? [] : ['not registered']), ...(node.populated ? [] : ['not populated'])]
}
