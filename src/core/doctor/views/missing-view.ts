import {qualifiedName} from '../../../lib/identifier.ts'
import type {Check, Found} from '../check.ts'

/** A registration whose view was renamed, or is gone. */
export const missingView: Check = {
  name: 'missing-view',
  find({views, renamed}) {
    const newNames = new Map(renamed.map((pair) => [qualifiedName(pair.from), pair]))
    return [...views.values()]
      .filter(({shape}) => shape === null)
      .map(({name, schemaName, viewName}): Found => {
        const view = {schemaName, viewName}
        const pair = newNames.get(name)
        return pair
          ? {
              severity: 'error',
              view,
              message: `${name} was renamed to ${qualifiedName(pair.to)}, and is registered under its old name`,
              repair: {kind: 'relink', renamed: pair},
            }
          : {
              severity: 'error',
              view,
              message: `${name} is registered, but the view no longer exists`,
              repair: {kind: 'unregister', view},
            }
      })
  },
}
