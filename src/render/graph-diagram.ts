import {qualifiedName} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {FoundView, ViewEdges} from '../lib/records/graph.ts'
import type {ViewName} from '../lib/records/values.ts'
import {marksOf} from './graph-tree.ts'
import {printableName} from './text.ts'

/** The graph in the language of Graphviz. Views that are not registered are dashed. */
export function renderDot({nodes, edges, opaque}: ViewEdges): string {
  const id = (view: ViewName) => `"${escapeDot(printableName(view))}"`
  const label = (lines: readonly string[]) => `"${lines.map(escapeDotLabel).join('\\n')}"`
  return [
    'digraph {',
    '  node [shape=box]',
    ...nodes.map((node) => {
      const style = node.registered ? '' : ', style=dashed'
      return `  ${id(node)} [label=${label(linesOf(node))}${style}]`
    }),
    ...edges.map(({parent, child, through}) => {
      const between = through.length > 0 ? ` [label=${label(through.map(printable))}]` : ''
      return `  ${id(parent)} -> ${id(child)}${between}`
    }),
    ...functionsOf(opaque).flatMap(({name, views}, index) => [
      `  "function ${index + 1}" [label=${label([printable(name), MAY_READ])}, shape=ellipse, style=dotted]`,
      ...views.map((view) => `  "function ${index + 1}" -> ${id(view)} [style=dotted]`),
    ]),
    '}',
  ].join('\n')
}

/** The graph as a Mermaid flowchart. Views that are not registered are dashed. */
export function renderMermaid({nodes, edges, opaque}: ViewEdges): string {
  const ids = new Map(nodes.map((node, index) => [qualifiedName(node), `v${index + 1}`]))
  const id = (view: ViewName) => ids.get(qualifiedName(view)) ?? ''
  const label = (lines: readonly string[]) => `"${lines.map(escapeMermaid).join('<br>')}"`
  return [
    'flowchart TD',
    ...nodes.map(
      (node) => `  ${id(node)}[${label(linesOf(node))}]${node.registered ? '' : ':::unregistered'}`,
    ),
    ...edges.map(({parent, child, through}) => {
      const between = through.length > 0 ? `|${label(through.map(printable))}|` : ''
      return `  ${id(parent)} -->${between} ${id(child)}`
    }),
    ...functionsOf(opaque).flatMap(({name, views}, index) => [
      `  f${index + 1}([${label([printable(name), MAY_READ])}])`,
      ...views.map((view) => `  f${index + 1} -.-> ${id(view)}`),
    ]),
    ...(nodes.every(({registered}) => registered) ? [] : ['  classDef unregistered stroke-dasharray: 5 5']),
  ].join('\n')
}

const MAY_READ = 'may read any view'

const linesOf = (node: FoundView): string[] => [printableName(node), ...marksOf(node)]

/** Each function whose body is not tracked, with the views that call the function. */
function functionsOf(opaque: ViewEdges['opaque']): {name: string; views: ViewName[]}[] {
  const functions = new Map<string, ViewName[]>()
  for (const view of opaque) functions.set(view.function, [...(functions.get(view.function) ?? []), view])
  return [...functions].map(([name, views]) => ({name, views}))
}

const escapeDot = (text: string): string => text.replaceAll(/["\\]/g, '\\$&')

/** In labels, Graphviz reads the entities of HTML. */
const escapeDotLabel = (text: string): string => escapeDot(text.replaceAll('&', '&amp;'))

/** All that Mermaid could read as markup, as a character code. */
const escapeMermaid = (text: string): string =>
  text.replaceAll(/[^\p{L}\p{N}\p{M} _.,()→-]/gu, (character) => `#${character.codePointAt(0)};`)
