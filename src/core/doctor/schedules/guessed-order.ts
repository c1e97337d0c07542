import {writtenDuration} from '../../../lib/duration.ts'
import {qualifiedName} from '../../../lib/identifier.ts'
import {scopeParts, viewOfPayload} from '../../../lib/payload.ts'
import type {Schedule} from '../../../lib/records/schedules.ts'
import type {Check} from '../check.ts'

/**
 * A view and a view that it reads have schedules of their own, and nothing makes the one wait for the other.
 */
export const guessedOrder: Check = {
  name: 'guessed-order',
  find({schedules, edges}) {
    const byView = new Map<string, Schedule[]>()
    for (const schedule of schedules) {
      const view = viewOfPayload(schedule.payload)
      if (!schedule.enabled || !view) continue
      const name = qualifiedName(view)
      byView.set(name, [...(byView.get(name) ?? []), schedule])
    }
    return edges.flatMap(({parent, child}) => {
      const [above = [], below = []] = [byView.get(qualifiedName(parent)), byView.get(qualifiedName(child))]
      const isOrdered =
        above.some(({scope}) => scopeParts(scope).isCascade) ||
        below.some(({scope}) => scopeParts(scope).isWithDependencies)
      const [first, second] = [above[0], below[0]]
      if (!first || !second || isOrdered) return []
      return [
        {
          severity: 'warning' as const,
          view: {schemaName: child.schemaName, viewName: child.viewName},
          others: [parent],
          schedule: second.name,
          message: `the schedules ${first.name} and ${second.name} guess at the order: ${qualifiedName(child)} reads ${qualifiedName(parent)}, and nothing makes its refresh wait for that view`,
          evidence: `${timingOf(first)}, ${timingOf(second)}`,
          repair: {kind: 'cascade-schedule' as const, schedule: first.name},
        },
      ]
    })
  },
}

const timingOf = ({name, cronExpr, timezone, maxAgeMs}: Schedule): string =>
  maxAgeMs === null
    ? `${name} at ${cronExpr} ${timezone}`
    : `${name} with max age ${writtenDuration(maxAgeMs)}`
