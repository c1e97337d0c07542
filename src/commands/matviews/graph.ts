import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {viewArg} from '../../cli/flags.ts'
import {viewEdges, viewGraph} from '../../core/refresh-set/view-graph.ts'
import type {ViewEdges, ViewGraph} from '../../lib/records/graph.ts'

export default class MatviewsGraph extends BaseCommand {
  static override summary = 'Show which materialized views read which, registered or not.'
  static override description =
    'With VIEW, shows only these views, the views that they read and the views that read them, directly or not. Follows plain views, functions with a BEGIN ATOMIC body and operators. Postgres does not track what other functions read; ayb names the views that call such functions.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> public.leaderboard --format mermaid',
    '<%= config.bin %> <%= command.id %> --format dot | dot -Tsvg > graph.svg',
  ]
  static override args = {
    view: viewArg({multiple: true}),
  }
  static override flags = {
    format: Flags.option({
      summary: 'A tree for people, or text for Graphviz (dot) or Mermaid.',
      options: ['tree', 'dot', 'mermaid'] as const,
      default: 'tree',
    })(),
  }

  async run(): Promise<ViewEdges | ViewGraph> {
    const {args, flags} = await this.parse(MatviewsGraph)
    const graph = await this.withDatabase(flags, (db) =>
      (this.jsonEnabled() ? viewGraph : viewEdges)(db, args.view ?? []),
    )
    await this.show(async (context) => {
      switch (flags.format) {
        case 'tree': {
          const {renderTree} = await import('../../render/graph-tree.ts')
          return renderTree(graph, context)
        }
        case 'dot':
        case 'mermaid': {
          const {renderDot, renderMermaid} = await import('../../render/graph-diagram.ts')
          return flags.format === 'dot' ? renderDot(graph) : renderMermaid(graph)
        }
      }
    })
    return graph
  }
}
