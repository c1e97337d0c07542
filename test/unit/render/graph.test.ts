import stringWidth from 'string-width'
import {describe, expect, test} from 'vitest'
import type {FoundView, ViewEdges} from '../../../src/lib/records/graph.ts'
import {renderDot, renderMermaid} from '../../../src/render/graph-diagram.ts'
import {renderTree} from '../../../src/render/graph-tree.ts'
import {NAMES, onTerminal, PIPED, WIDTHS} from './fixtures.ts'

const nameOf = (viewName: string) => ({schemaName: 'public', viewName})

const node = (viewName: string, changes: Partial<FoundView> = {}): FoundView => ({
  ...nameOf(viewName),
  registered: true,
  populated: true,
  ...changes,
})

/** The views of paths such as `a > b > c`, in the order in which they come, and their edges. */
function graphOf(paths: string[], changes: Partial<ViewEdges> = {}): ViewEdges {
  const ways = paths.map((path) => path.split(' > '))
  return {
    nodes: [...new Set(ways.flat())].map((view) => node(view)),
    edges: ways.flatMap((way) =>
      way.slice(1).map((child, index) => ({
        parent: nameOf(way[index] as string),
        child: nameOf(child),
        through: [],
      })),
    ),
    opaque: [],
    warnings: [],
    ...changes,
  }
}

const tree = (graph: ViewEdges) => renderTree(graph, PIPED).split('\n')

const HOSTILE = [...NAMES, '"', 'a\\', '`*_<b>&amp;#35;[x]{y}|-->%%', 'end', '\\N\\n', '--', ';']

const hostileGraph = graphOf([HOSTILE.join(' > ')], {
  opaque: HOSTILE.map((viewName) => ({...nameOf(viewName), function: `public."${viewName}"(text)`})),
})
for (const edge of hostileGraph.edges) edge.through = HOSTILE
for (const hostile of hostileGraph.nodes) hostile.registered = false

describe('a tree', () => {
  test('has below each view those that read it', () =>
    expect(tree(graphOf(['a > b > c', 'a > d']))).toEqual([
      'public.a',
      '├─ public.b',
      '│  └─ public.c',
      '└─ public.d',
    ]))

  test('has a view of several parents once in full, then as a reference', () =>
    expect(tree(graphOf(['a > c > d', 'b > c']))).toEqual([
      'public.a',
      '└─ public.c',
      '   └─ public.d',
      'public.b',
      '└─ public.c (see above)',
    ]))

  test('ends with the views that have no edges', () =>
    expect(tree(graphOf(['a', 'b > c', 'd']))).toEqual(['public.b', '└─ public.c', 'public.a', 'public.d']))

  test('says what lies between, and what is special about a view', () => {
    const graph = graphOf(['a > b'], {
      nodes: [node('a', {populated: false}), node('b', {registered: false, populated: false})],
    })
    for (const edge of graph.edges) edge.through = ['public.v', 'public.f(integer)']
    expect(tree(graph)).toEqual([
      'public.a  not populated',
      '└─ public.b  not registered  not populated  through public.v → public.f(integer)',
    ])
  })

  test('names functions that may read any view', () =>
    expect(tree(graphOf(['a'], {opaque: [{...nameOf('a'), function: 'public.f(integer)'}]}))).toEqual([
      'public.a',
      '',
      'Postgres does not track what these functions read, so the graph may lack edges:',
      '  public.a calls public.f(integer)',
    ]))

  test('continues a path that leaves no room for names as a tree of its own', () => {
    const views = Array.from({length: 500}, (_, index) => `v${index}`)
    const lines = renderTree(graphOf([views.join(' > ')]), onTerminal(60)).split('\n')
    expect(lines.slice(9, 14)).toEqual([
      '                        └─ public.v9',
      '                           └─ public.v10',
      '                              └─ public.v11 (see below)',
      'public.v11',
      '└─ public.v12',
    ])
    for (const view of views) {
      expect(lines.filter((line) => line.endsWith(`public.${view}`))).toHaveLength(1)
    }
  })

  test.each(WIDTHS)('fits %i columns', (columns) => {
    for (const env of [{NO_COLOR: '1'}, {FORCE_COLOR: '1'}]) {
      const drawn = renderTree({...hostileGraph, opaque: []}, onTerminal(columns, env))
      for (const line of drawn.split('\n')) expect(stringWidth(line)).toBeLessThanOrEqual(columns)
    }
  })

  test('is empty in a pipe for a database without views', () =>
    expect(renderTree(graphOf([], {nodes: []}), PIPED)).toBe(''))
})

describe('a graph for Graphviz', () => {
  test('has a line for each view and each edge', () => {
    const graph = graphOf(['a > b'], {
      nodes: [node('a'), node('b', {registered: false})],
      opaque: [{...nameOf('b'), function: 'public.f()'}],
    })
    for (const edge of graph.edges) edge.through = ['public.v', 'public.w']
    expect(renderDot(graph).split('\n')).toEqual([
      'digraph {',
      '  node [shape=box]',
      '  "public.a" [label="public.a"]',
      '  "public.b" [label="public.b\\nnot registered", style=dashed]',
      '  "public.a" -> "public.b" [label="public.v\\npublic.w"]',
      '  "function 1" [label="public.f()\\nmay read any view", shape=ellipse, style=dotted]',
      '  "function 1" -> "public.b" [style=dotted]',
      '}',
    ])
  })

  test('is valid whatever the names are', () => {
    const text = String.raw`"(?:[^"\\]|\\.)*"`
    const line = new RegExp(
      String.raw`^  (?:${text}|node)(?: -> ${text})?(?: \[\w+=(?:\w+|${text})(?:, \w+=\w+)*\])?$`,
    )
    const lines = renderDot(hostileGraph).split('\n')
    for (const inner of lines.slice(1, -1)) expect(inner).toMatch(line)
    expect(lines).toHaveLength(3 + HOSTILE.length * 4 - 1)
    expect(lines).toContainEqual(
      expect.stringContaining(String.raw`"public.\"a\\\"" [label="public.\"a\\\"\n`),
    )
  })
})

describe('a graph for Mermaid', () => {
  test('has a line for each view and each edge', () => {
    const graph = graphOf(['a > b'], {
      nodes: [node('a'), node('b', {registered: false})],
      opaque: [{...nameOf('b'), function: 'public.f()'}],
    })
    for (const edge of graph.edges) edge.through = ['public.v', 'public.w']
    expect(renderMermaid(graph).split('\n')).toEqual([
      'flowchart TD',
      '  v1["public.a"]',
      '  v2["public.b<br>not registered"]:::unregistered',
      '  v1 -->|"public.v<br>public.w"| v2',
      '  f1(["public.f()<br>may read any view"])',
      '  f1 -.-> v2',
      '  classDef unregistered stroke-dasharray: 5 5',
    ])
  })

  test('is valid whatever the names are', () => {
    const text = String.raw`"(?:[\p{L}\p{N}\p{M} _.,()→-]|#\d+;|<br>)*"`
    const line = new RegExp(
      String.raw`^  (?:v\d+\[${text}\]:::unregistered|v\d+ -->\|${text}\| v\d+|f\d+\(\[${text}\]\)|f\d+ -\.-> v\d+)$`,
      'u',
    )
    const lines = renderMermaid(hostileGraph).split('\n')
    for (const inner of lines.slice(1, -1)) expect(inner).toMatch(line)
    expect(lines).toHaveLength(2 + HOSTILE.length * 4 - 1)
  })
})
