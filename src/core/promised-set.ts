import type {Database} from '../db/database.ts'
import {findRegistration} from '../db/registrations.ts'
import {usualDurations} from '../db/runs.ts'
import {qualifiedName} from '../lib/identifier.ts'
import type {PromiseFacts} from '../lib/promise.ts'
import type {ViewName} from '../lib/records/values.ts'
import {judgeOne} from './freshness/judged.ts'

/**
 * How old the data of a view is, and how long it takes to refresh the view behind all that it reads. The age
 * counts from the oldest data that went into the view. Null for a view that is not registered.
 */
export async function setBelow(
  db: Database,
  view: ViewName,
): Promise<Pick<PromiseFacts, 'ageMs' | 'usualMs'> | null> {
  const registration = await findRegistration(db, view)
  if (!registration) return null
  const {nowMs, views, parents} = await judgeOne(db, registration)
  const usual = await usualDurations(
    db,
    views.map(({facts}) => facts),
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
  const name = qualifiedName(registration)
  const judged = views.find((each) => each.name === name)
  const asOfMs = judged?.freshAsOfMs ?? judged?.facts.lastSuccessStartedAtMs ?? null
  return {ageMs: asOfMs === null ? null : nowMs - asOfMs, usualMs: longest(name)}
}
