import {qualifiedName} from '../../../lib/identifier.ts'
import type {Check} from '../check.ts'

/** Postgres does not track what a function with a text as its body reads. */
export const opaqueFunction: Check = {
  name: 'opaque-function',
  find: ({opaque, views}) =>
    opaque
      .filter((view) => views.has(qualifiedName(view)))
      .map((view) => ({
        severity: 'info',
        view: {schemaName: view.schemaName, viewName: view.viewName},
        message: `${qualifiedName(view)} calls ${view.function}, whose body Postgres does not track: ayb does not know what the function reads, and cannot refresh that first`,
      })),
}
