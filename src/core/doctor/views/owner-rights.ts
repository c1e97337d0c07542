import {viewCheck} from '../check.ts'

/** A refresh has the rights of the owner of the view; reads of a plain view have those of its own owner. */
export const ownerRights = viewCheck('owner-rights', ({name, schemaName, viewName, missingPrivileges}) =>
  missingPrivileges.map(({role, view, action, statement}) => ({
    severity: 'error',
    view: {schemaName, viewName},
    message: `${role}, the owner of ${view}, may not ${action}: refreshes of ${name} fail`,
    sql: statement,
  })),
)
