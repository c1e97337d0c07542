import {shortList} from '../../../lib/short-list.ts'
import {serverCheck} from '../check.ts'

/** Views that read each other, through a plain view: no order suits them. */
export const cycle = serverCheck('cycle', ({cycles, views}) =>
  cycles.flatMap((names) => {
    const registered = names.map((name) => views.get(name)).filter((view) => view !== undefined)
    const [first, ...others] = registered
    if (!first) return []
    return [
      {
        severity: 'warning' as const,
        view: {schemaName: first.schemaName, viewName: first.viewName},
        others,
        message: `${shortList([...names].sort())} read each other: no order of refreshes is right for them`,
      },
    ]
  }),
)
