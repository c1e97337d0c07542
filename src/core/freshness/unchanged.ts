import type {FreshnessFacts} from '../../db/freshness/facts.ts'
import {ROUNDING_MS} from '../../db/freshness/history.ts'
import type {Neighbours} from '../../lib/graph.ts'
import {SECOND_LOOK_MS} from '../refresh/decide.ts'

/** By qualified names. */
interface Sources {
  factsOf: ReadonlyMap<string, FreshnessFacts>
  parentsOf: Neighbours
  /** When a look last found that nothing had changed, in milliseconds since 1970. */
  looks: ReadonlyMap<string, number>
  /** As of when the data is, by the history; null where the history does not tell. */
  inHistory: ReadonlyMap<string, number | null>
}

/** The moment whose parents a view holds: its last success, or a later look that found nothing changed. */
export const readAt = (name: string, {factsOf, looks}: Pick<Sources, 'factsOf' | 'looks'>): number | null => {
  const startedAtMs = factsOf.get(name)?.lastSuccessStartedAtMs ?? null
  return startedAtMs === null ? null : Math.max(startedAtMs, looks.get(name) ?? startedAtMs)
}

/** As of when the data of each view is, with what looks have found. No cycles. */
export function withLooks(sources: Sources): Map<string, number | null> {
  const {factsOf, parentsOf, looks, inHistory} = sources
  const known = new Map<string, number | null>()
  const asOf = (name: string): number | null => {
    const before = known.get(name)
    if (before !== undefined) return before
    const startedAtMs = factsOf.get(name)?.lastSuccessStartedAtMs ?? null
    const recorded = inHistory.has(name) ? (inHistory.get(name) ?? null) : startedAtMs
    const found = asOfLook(name)
    const best = recorded === null || found === null ? (recorded ?? found) : Math.max(recorded, found)
    known.set(name, best)
    return best
  }
  /** While the parents are as the view has read them, the view is as fresh as they are. */
  const asOfLook = (name: string): number | null => {
    const startedAtMs = factsOf.get(name)?.lastSuccessStartedAtMs ?? null
    const readAtMs = readAt(name, sources)
    if (startedAtMs === null || readAtMs === null) return null
    const lookedAtMs = looks.get(name)
    let oldest = Math.max(startedAtMs, lookedAtMs === undefined ? startedAtMs : lookedAtMs - SECOND_LOOK_MS)
    for (const parent of parentsOf.get(name) ?? []) {
      const endedAtMs = factsOf.get(parent)?.lastSuccessEndedAtMs ?? null
      const parentAsOf = asOf(parent)
      if (endedAtMs === null || endedAtMs - ROUNDING_MS > readAtMs || parentAsOf === null) return null
      oldest = Math.min(oldest, parentAsOf)
    }
    return oldest
  }
  return new Map([...factsOf.keys()].map((name) => [name, asOf(name)]))
}
