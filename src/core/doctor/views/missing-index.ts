import {viewCheck} from '../check.ts'

/** A view that is refreshed concurrently has no index for that. */
export const missingIndex = viewCheck(
  'missing-index',
  ({name, mode, shape, indexStatement, schemaName, viewName}) => {
    if (mode === 'standard' || shape.indexes.some(({isUsable}) => isUsable)) return null
    const view = {schemaName, viewName}
    const fix = indexStatement === null ? {} : {sql: indexStatement}
    if (mode === 'auto') {
      return {
        severity: 'info',
        view,
        message: `${name} has no unique index, so that mode auto blocks readers`,
        ...fix,
      }
    }
    return {
      severity: 'error',
      view,
      message: `${name} has concurrent mode, but no unique index for that mode: its refreshes fail`,
      ...fix,
    }
  },
)
