import type {FreshnessState} from '../../../../lib/records/freshness.ts'
import type {ViewGraph} from '../../../../lib/records/graph.ts'
import type {ViewName} from '../../../../lib/records/values.ts'
import {isSameView, quotedView, viewTitle} from '../format.ts'
import {viewLink} from '../routes.ts'

const BOX_WIDTH = 220
const BOX_HEIGHT = 34
const GAP = 12
const BETWEEN = 70
/** More would be no picture any more: the rest is counted. */
const SHOWN = 8
const LONGEST = 28

interface Box {
  view: ViewName
  state: FreshnessState | null
  isRegistered: boolean
}

/** What a view reads, and what reads the view. */
export function NeighbourGraph({view, graph}: {view: ViewName; graph: ViewGraph}) {
  const boxOf = (name: ViewName): Box => {
    const node = graph.nodes.find((each) => isSameView(each, name))
    return {view: name, state: node?.state ?? null, isRegistered: node?.registered ?? false}
  }
  const parents = graph.edges.filter(({child}) => isSameView(child, view)).map(({parent}) => boxOf(parent))
  const children = graph.edges.filter(({parent}) => isSameView(parent, view)).map(({child}) => boxOf(child))
  const opaque = graph.opaque.filter((each) => isSameView(each, view))
  if (parents.length + children.length + opaque.length === 0) return null
  const [left, right] = [parents.slice(0, SHOWN), children.slice(0, SHOWN)]
  const rows = Math.max(1, left.length, right.length)
  const height = rows * (BOX_HEIGHT + GAP) - GAP
  const place = (count: number, position: number) =>
    (height - (count * (BOX_HEIGHT + GAP) - GAP)) / 2 + position * (BOX_HEIGHT + GAP)
  const columns = [left, [boxOf(view)], right].filter((column) => column.length > 0)
  const own = left.length > 0 ? 1 : 0
  const xOf = (column: number) => column * (BOX_WIDTH + BETWEEN)
  const width = xOf(columns.length - 1) + BOX_WIDTH
  const middle = height / 2
  return (
    <section class="panel" aria-labelledby="neighbours">
      <h2 id="neighbours">Views above and below</h2>
      {columns.length > 1 && (
        <div class="graph">
          <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height}>
            <title>{describe(parents, children)}</title>
            {left.map((each, position) => (
              <path
                key={viewTitle(each.view)}
                class="edge"
                d={curve(BOX_WIDTH, place(left.length, position) + BOX_HEIGHT / 2, xOf(own), middle)}
              />
            ))}
            {right.map((each, position) => (
              <path
                key={viewTitle(each.view)}
                class="edge"
                d={curve(
                  xOf(own) + BOX_WIDTH,
                  middle,
                  xOf(own + 1),
                  place(right.length, position) + BOX_HEIGHT / 2,
                )}
              />
            ))}
            {columns.flatMap((column, at) =>
              column.map((box, position) => (
                <BoxShape
                  key={`${at} ${viewTitle(box.view)}`}
                  box={box}
                  x={xOf(at)}
                  y={place(column.length, position)}
                  isOwn={at === own && isSameView(box.view, view)}
                />
              )),
            )}
          </svg>
        </div>
      )}
      <More what="read by this view" all={parents} />
      <More what="that read this view" all={children} />
      {opaque.map((each) => (
        <p key={each.function} class="hint">
          The view calls {each.function}: Postgres does not track what this function reads.
        </p>
      ))}
    </section>
  )
}

function BoxShape({box, x, y, isOwn}: {box: Box; x: number; y: number; isOwn: boolean}) {
  const title = viewTitle(box.view)
  const state = box.isRegistered ? box.state : 'not registered'
  const shape = (
    <g class={`box${isOwn ? ' own' : ''}`} transform={`translate(${x} ${y})`}>
      <rect width={BOX_WIDTH} height={BOX_HEIGHT} rx="6" />
      <text x="10" y="15">
        {title.length > LONGEST ? `${title.slice(0, LONGEST - 1)}…` : title}
      </text>
      <text class="box-state" x="10" y="28">
        {state ?? ''}
      </text>
      {title.length > LONGEST && <title>{title}</title>}
    </g>
  )
  if (isOwn || !box.isRegistered) return shape
  return <a href={viewLink(quotedView(box.view))}>{shape}</a>
}

function More({what, all}: {what: string; all: readonly Box[]}) {
  const left = all.length - SHOWN
  if (left <= 0) return null
  return (
    <details>
      <summary>
        {left} more {what}
      </summary>
      <ul>
        {all.slice(SHOWN).map(({view}) => (
          <li key={viewTitle(view)}>
            <a href={viewLink(quotedView(view))}>{viewTitle(view)}</a>
          </li>
        ))}
      </ul>
    </details>
  )
}

const curve = (x1: number, y1: number, x2: number, y2: number): string => {
  const bend = (x2 - x1) / 2
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
}

const describe = (parents: readonly Box[], children: readonly Box[]): string =>
  `Reads ${parents.length} materialized views, and is read by ${children.length}`
