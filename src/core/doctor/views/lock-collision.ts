import {qualifiedName} from '../../../lib/identifier.ts'
import {serverCheck} from '../check.ts'

/** The lock of a view has 32 bits, made from its name: two names can share one. */
export const lockCollision = serverCheck('lock-collision', ({collisions}) =>
  collisions.flatMap((views) => {
    const [first, ...others] = views
    if (!first) return []
    return [
      {
        severity: 'info' as const,
        view: first,
        others,
        message: `${views.map(qualifiedName).join(' and ')} have the same lock, by chance: one waits while the other is refreshed; rename one of them to end that`,
      },
    ]
  }),
)
