import type {Database} from '../../db/database.ts'
import {readDependencies} from '../../db/dependencies.ts'
import {lastSuccesses, type RefreshTimes} from '../../db/runs.ts'
import {qualifiedName, shellWord} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records.ts'
import {type Edge, untangle} from './graph.ts'

/** The look comes behind a refresh that is done: nobody waits long for its warning. */
const LOOK_DEADLINE_MS = 5000
/** The history rounds durations to milliseconds. */
const ROUNDING_MS = 2

/**
 * A warning about a view that was just refreshed, where views that it reads were refreshed meanwhile, or are
 * older than the views that they read themselves; null for none, and where that cannot be found out.
 */
export async function staleParentsWarning(db: Database, view: ViewName): Promise<string | null> {
  const look = async () => {
    const {nodes, edges} = await readDependencies(db, view)
    if (edges.length === 0) return null
    return describeStale(qualifiedName(view), edges, await lastSuccesses(db, nodes))
  }
  return db.session.within(LOOK_DEADLINE_MS, look).catch(() => null)
}

/** The warning, from the edges between a view and all that it reads, and the last successes. */
export function describeStale(
  view: string,
  edges: readonly Edge[],
  times: ReadonlyMap<string, RefreshTimes>,
): string | null {
  const behind = new Map<string, string[]>()
  for (const [child, parents] of untangle(edges).graph.parents) {
    const own = times.get(child)
    const newer = [...parents].filter((parent) => {
      const other = times.get(parent)
      return own && other && other.endedAtMs - ROUNDING_MS > own.startedAtMs
    })
    if (newer.length > 0) behind.set(child, newer.sort())
  }
  const [first] = [...behind].sort(([a], [b]) => Number(b === view) - Number(a === view) || (a < b ? -1 : 1))
  if (!first) return null
  const [child, newer] = first
  const reason =
    child === view
      ? `${newer.join(', ')} ${newer.length === 1 ? 'was' : 'were'} refreshed at the same time`
      : `${child}, which it reads, was last refreshed before ${newer.join(', ')}`
  const command = `ayb matviews refresh ${shellWord(view)} --with-dependencies`
  return `${view} may hold old data: ${reason}; to refresh all that it reads in order: ${command}`
}
