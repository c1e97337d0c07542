import type {Database} from '../../db/database.ts'
import {readDependencies, readsTablesAlone} from '../../db/dependencies.ts'
import {lastUnchangedLooks} from '../../db/fingerprint/checks.ts'
import {ROUNDING_MS} from '../../db/freshness/history.ts'
import {type LastSuccess, lastSuccesses} from '../../db/runs.ts'
import {type Edge, untangle} from '../../lib/graph.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import {remediable, type Warning} from '../../lib/unworded.ts'

/** The refresh is done by then. Nobody should wait long for a warning. */
const LOOK_DEADLINE_MS = 5000

/**
 * A warning about a view that was just refreshed, where views that it reads were refreshed meanwhile, or are
 * older than the views that they read themselves; null for none, and where that cannot be found out.
 */
export async function staleParentsWarning(db: Database, view: ViewName): Promise<Warning | null> {
  const limited = db.within(LOOK_DEADLINE_MS)
  const look = async () => {
    if (await readsTablesAlone(limited, view)) return null
    const {nodes, edges} = await readDependencies(limited, [view])
    if (edges.length === 0) return null
    const unregistered = new Map(
      nodes.filter(({registered}) => !registered).map((node) => [qualifiedName(node), nameOf(node)]),
    )
    const times = await lastSuccesses(limited, nodes)
    for (const [name, atMs] of await lastUnchangedLooks(limited, nodes)) {
      const time = times.get(name)
      // Nothing that the view reads had changed by then: as if it had been refreshed again.
      if (time) times.set(name, {...time, startedAtMs: Math.max(time.startedAtMs, atMs)})
    }
    return describeStale(nameOf(view), {edges, unregistered}, times)
  }
  return look().catch(() => null)
}

/** What a view reads. */
interface Below {
  /** Between the view and all that it reads, directly or not. */
  edges: readonly Edge[]
  /** By qualified names. */
  unregistered: ReadonlyMap<string, ViewName>
}

/** The warning, from what a view reads, and the last successes. */
export function describeStale(
  staleView: ViewName,
  {edges, unregistered}: Below,
  times: ReadonlyMap<string, Pick<LastSuccess, 'startedAtMs' | 'endedAtMs'>>,
): Warning | null {
  const view = qualifiedName(staleView)
  const behind = new Map<string, string[]>()
  for (const [child, parents] of untangle(edges).graph.parents) {
    const own = times.get(child)
    if (!own && child === view) continue
    const newer = [...parents].filter((parent) => {
      const other = times.get(parent)
      return other && (!own || other.endedAtMs - ROUNDING_MS > own.startedAtMs)
    })
    if (newer.length > 0) behind.set(child, newer.sort())
  }
  const [first] = [...behind].sort(([a], [b]) => Number(b === view) - Number(a === view) || (a < b ? -1 : 1))
  if (!first) return null
  const [child, newer] = first
  const toRegister = unregistered.get(child) ?? null
  const reason = reasonOf(
    {view, child, newer},
    {isKnown: times.has(child), isRegistered: toRegister === null},
  )
  return remediable(`${view} may hold old data: ${reason}`, null, {
    kind: 'refresh-with-dependencies',
    view: staleView,
    unregistered: toRegister,
  })
}

const nameOf = ({schemaName, viewName}: ViewName): ViewName => ({schemaName, viewName})

/** Why a view may hold old data: because of a child that is older than what the child reads. */
function reasonOf(
  {view, child, newer}: {view: string; child: string; newer: readonly string[]},
  {isKnown, isRegistered}: {isKnown: boolean; isRegistered: boolean},
): string {
  const parents = newer.join(', ')
  if (child === view) return `${parents} ${newer.length === 1 ? 'was' : 'were'} refreshed at the same time`
  const which = isRegistered ? 'which it reads' : 'which it reads and which is not registered'
  return isKnown
    ? `${child}, ${which}, was last refreshed before ${parents}`
    : `${child}, ${which}, has no refresh in the history, but ${parents} ${newer.length === 1 ? 'has' : 'have'}`
}
