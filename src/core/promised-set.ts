import type {Database} from '../db/database.ts'
import {usualDurations} from '../db/runs.ts'
import {qualifiedName} from '../lib/identifier.ts'
import type {PromiseFacts} from '../lib/promise.ts'
import type {ViewName} from '../lib/records/values.ts'
import {judgeSome} from './freshness/judged.ts'

/**
 * How old the data of each of the registered views is, and how long it takes to refresh the view behind all
 * that it reads, by qualified names. The age counts from the oldest data that went into the view. One reading
 * for all views.
 */
export async function setsBelow(
  db: Database,
  views: readonly ViewName[],
): Promise<Map<string, Pick<PromiseFacts, 'ageMs' | 'usualMs'>>> {
  if (views.length === 0) return new Map()
  const {nowMs, views: judged, parents} = await judgeSome(db, views)
  const usual = await usualDurations(
    db,
    judged.map(({facts}) => facts),
  )
  const known = new Map<string, number>()
  const longest = (name: string): number => {
    const before = known.get(name)
    if (before !== undefined) return before
    const below = [...(parents.get(name) ?? [])].map(longest)
    const ms = (usual.get(name) ?? 0) + Math.max(0, ...below)
    known.set(name, ms)
    return ms
  }
  const meant = new Set(views.map(qualifiedName))
  return new Map(
    judged
      .filter(({name}) => meant.has(name))
      .map(({name, freshAsOfMs, facts}) => {
        const asOfMs = freshAsOfMs ?? facts.lastSuccessStartedAtMs
        return [name, {ageMs: asOfMs === null ? null : nowMs - asOfMs, usualMs: longest(name)}]
      }),
  )
}
