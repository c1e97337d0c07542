import type {FreshnessState} from './freshness.ts'
import type {ViewName} from './values.ts'
import type {SkipBlocker} from './views.ts'

/** A materialized view as the catalogs have it. */
export interface FoundView extends ViewName {
  registered: boolean
  populated: boolean
}

/** A materialized view of the graph. */
interface GraphNode extends FoundView {
  /** How fresh the view is; null for a view that is not registered. */
  state: FreshnessState | null
  /** Whether ayb can tell that nothing has changed since the last refresh. */
  skippable: boolean
  skipBlockers: SkipBlocker[]
}

/** One materialized view reads another: the child is computed from the parent. */
export interface GraphEdge {
  parent: ViewName
  child: ViewName
  /**
   * The plain views and the functions between them, from the parent's side to the child's. A function has its
   * argument types behind its name.
   */
  through: string[]
}

/** A view that calls a function whose body Postgres does not track: the function may read any view. */
export interface OpaqueView extends ViewName {
  /** With its argument types, as in `GraphEdge.through`. */
  function: string
}

/** The materialized views, and which of them reads which. */
export interface ViewEdges {
  nodes: FoundView[]
  edges: GraphEdge[]
  opaque: OpaqueView[]
  warnings: string[]
}

/** What `ayb matviews graph` answers. */
export interface ViewGraph extends ViewEdges {
  nodes: GraphNode[]
}
