import {qualifiedName} from '../../../lib/identifier.ts'
import type {Check} from '../check.ts'

/** A refresh runs with the rights of the owner of the view. */
export const ownerRights: Check = {
  name: 'owner-rights',
  find: ({unreadable}) =>
    unreadable.map(({schemaName, viewName, owner, relation, grant}) => ({
      severity: 'error',
      view: {schemaName, viewName},
      message: `the owner ${owner} of ${qualifiedName({schemaName, viewName})} may not read ${relation}: its refreshes fail`,
      sql: grant,
    })),
}
