import {beforeAll, describe, expect, test} from 'vitest'
import type {ViewGraph} from '../../src/lib/records/graph.ts'
import type {ViewName} from '../../src/lib/records/values.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf} from '../support/documents.ts'
import {openTerminal} from '../support/terminal.ts'

let db: TestDatabase

const graphOf = (...args: string[]) => documentOf<ViewGraph>(['matviews', 'graph', ...args], db)

const viewNames = (views: readonly ViewName[]) => views.map(({viewName}) => viewName)

const edgesOf = ({edges}: ViewGraph) =>
  edges.map(({parent, child}) => `${parent.viewName} > ${child.viewName}`)

/** What the command prints in a pipe, line by line. */
async function linesOf(...args: string[]): Promise<string[]> {
  const {code, stdout, stderr} = await ayb(['matviews', 'graph', ...args], db)
  expect({code, stderr}).toEqual({code: 0, stderr: ''})
  return stdout.trimEnd().split('\n')
}

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query(`create schema "Sales 2026"; create view recent as select id from leaderboard;
    create materialized view weekly as select id from recent;
    create materialized view "Sales 2026"."top ""ten""" as select id from weekly union select id from leaderboard;
    create materialized view yearly as select id from weekly with no data;
    create table parts (id int) partition by list (id); create table part partition of parts for values in (1);
    create materialized view alone as select id from parts;
    insert into _ayb_matview_refreshes (view_name) values ('leaderboard'), ('weekly'), ('alone')`)
})

describe('ayb matviews graph', () => {
  test('has all views and the edges between them', async () => {
    const graph = await graphOf()
    expect(keysOf(graph)).toEqual(['nodes', 'edges', 'opaque', 'warnings'])
    for (const node of graph.nodes) {
      expect(keysOf(node)).toEqual([
        'schemaName',
        'viewName',
        'registered',
        'populated',
        'state',
        'skippable',
        'skipBlockers',
      ])
    }
    expect(viewNames(graph.nodes)).toEqual(['top "ten"', 'alone', 'leaderboard', 'weekly', 'yearly'])
    expect(graph.nodes[0]).toEqual({
      schemaName: 'Sales 2026',
      viewName: 'top "ten"',
      registered: false,
      populated: true,
      state: null,
      skippable: expect.any(Boolean),
      skipBlockers: expect.any(Array),
    })
    expect(graph.nodes.at(-1)).toMatchObject({viewName: 'yearly', registered: false, populated: false})
    expect(edgesOf(graph)).toEqual([
      'leaderboard > top "ten"',
      'weekly > top "ten"',
      'leaderboard > weekly',
      'weekly > yearly',
    ])
    expect(graph.edges[2]).toEqual({
      parent: {schemaName: 'public', viewName: 'leaderboard'},
      child: {schemaName: 'public', viewName: 'weekly'},
      through: ['public.recent'],
    })
    expect(graph).toMatchObject({opaque: [], warnings: []})
  })

  test('has only what is connected to the views that are named', async () => {
    const upAndDown = await graphOf('weekly')
    expect(viewNames(upAndDown.nodes)).toEqual(['top "ten"', 'leaderboard', 'weekly', 'yearly'])
    const both = await graphOf('yearly', 'alone')
    expect(viewNames(both.nodes)).toEqual(['alone', 'leaderboard', 'weekly', 'yearly'])
    const yearly = await graphOf('yearly')
    expect(viewNames(yearly.nodes)).toEqual(['leaderboard', 'weekly', 'yearly'])
    expect(edgesOf(yearly)).toEqual(['leaderboard > weekly', 'weekly > yearly'])
  })

  test('takes the id of a registration', async () => {
    const [row] = await db.query<{id: string}>(
      `select id from _ayb_matview_refreshes where view_name = 'alone'`,
    )
    expect(viewNames((await graphOf(row?.id as string)).nodes)).toEqual(['alone'])
  })

  test('is a tree in a pipe', async () =>
    expect(await linesOf()).toEqual([
      'public.leaderboard',
      '├─ "Sales 2026"."top ""ten"""  not registered',
      '└─ public.weekly  through public.recent',
      '   ├─ "Sales 2026"."top ""ten""" (see above)',
      '   └─ public.yearly  not registered  not populated',
      'public.alone',
    ]))

  test('is a tree that fits a terminal, without colours where they are not wanted', async () => {
    const env = {NO_COLOR: '1'}
    const terminal = openTerminal(['matviews', 'graph', 'yearly'], {url: db.url, columns: 60, env})
    const {code, output} = await terminal.done
    expect({code, lines: output.trimEnd().split('\r\n')}).toEqual({
      code: 0,
      lines: [
        'public.leaderboard',
        '└─ public.weekly  through public.recent',
        '   └─ public.yearly  not registered  not populated',
      ],
    })
  })

  test('is text for Graphviz and for Mermaid', async () => {
    expect(await linesOf('yearly', '--format', 'dot')).toEqual([
      'digraph {',
      '  node [shape=box]',
      '  "public.leaderboard" [label="public.leaderboard"]',
      '  "public.weekly" [label="public.weekly"]',
      '  "public.yearly" [label="public.yearly\\nnot registered\\nnot populated", style=dashed]',
      '  "public.leaderboard" -> "public.weekly" [label="public.recent"]',
      '  "public.weekly" -> "public.yearly"',
      '}',
    ])
    expect(await linesOf('weekly', '--format', 'mermaid')).toEqual([
      'flowchart TD',
      '  v1["#34;Sales 2026#34;.#34;top #34;#34;ten#34;#34;#34;<br>not registered"]:::unregistered',
      '  v2["public.leaderboard"]',
      '  v3["public.weekly"]',
      '  v4["public.yearly<br>not registered<br>not populated"]:::unregistered',
      '  v2 --> v1',
      '  v3 --> v1',
      '  v2 -->|"public.recent"| v3',
      '  v3 --> v4',
      '  classDef unregistered stroke-dasharray: 5 5',
    ])
  })

  test('refuses a name that is no materialized view, with the name that was meant', async () => {
    expect(await failureOf(['matviews', 'graph', 'weekly', 'weakly'], 'VIEW_NOT_FOUND', db)).toMatchObject({
      message: 'there is no materialized view public.weakly',
      hint: 'did you mean public.weekly?',
    })
    expect(await failureOf(['matviews', 'graph', 'recent'], 'VIEW_NOT_FOUND', db)).toMatchObject({
      message: 'public.recent is a view, not a materialized view',
    })
    const id = '550e8400-e29b-41d4-a716-446655440000'
    await failureOf(['matviews', 'graph', id], 'NOT_REGISTERED', db)
    await failureOf(['matviews', 'graph', '--format', 'svg'], 'INVALID_ARGUMENT', db)
  })

  test('leaves out the edges inside a cycle and warns of them', async () => {
    const other = await createTestDatabase({template: false})
    await other.query(`create view v as select 1 as id; create materialized view a as select id from v;
      create materialized view b as select id from a; create materialized view below as select id from b;
      create materialized view beside as select 1 as id; create or replace view v as select id from b`)
    const warning =
      'public.a and public.b read each other, directly or not: ayb ignores the edges between them'
    const graph = await documentOf<ViewGraph>(['matviews', 'graph', 'below'], other)
    expect(viewNames(graph.nodes)).toEqual(['a', 'b', 'below'])
    expect([edgesOf(graph), graph.warnings]).toEqual([['b > below'], [warning]])
    expect(await ayb(['matviews', 'graph'], other)).toMatchObject({
      code: 0,
      stdout: 'public.b\n└─ public.below\npublic.a\npublic.beside\n'.replaceAll(
        /(public\.\w+)\n/g,
        '$1  not registered\n',
      ),
      stderr: `Warning: ${warning}\n`,
    })
    expect((await documentOf<ViewGraph>(['matviews', 'graph', 'beside'], other)).warnings).toEqual([])
  })

  test('names the views that call functions which may read any view', async () => {
    const other = await createTestDatabase({template: false})
    await other.query(`create function f(int) returns int stable language sql as 'select 1';
      create materialized view a as select f(1)`)
    const {opaque} = await documentOf<ViewGraph>(['matviews', 'graph'], other)
    expect(opaque).toEqual([{schemaName: 'public', viewName: 'a', function: 'public.f(integer)'}])
    const {stdout} = await ayb(['matviews', 'graph', 'a'], other)
    expect(stdout).toContain('\n  public.a calls public.f(integer)\n')
  })

  test('is empty where there are no views, and makes no table', async () => {
    const empty = await createTestDatabase({template: false})
    expect(await ayb(['matviews', 'graph'], empty)).toMatchObject({code: 0, stdout: '', stderr: ''})
    expect(await documentOf(['matviews', 'graph'], empty)).toEqual({
      nodes: [],
      edges: [],
      opaque: [],
      warnings: [],
    })
    expect(await empty.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
  })
})
