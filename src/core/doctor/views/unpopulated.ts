import {viewCheck} from '../check.ts'

/** The view was created WITH NO DATA, or restored without its rows: whoever reads it gets an error. */
export const unpopulated = viewCheck('unpopulated', ({name, mode, shape, schemaName, viewName}) => {
  if (shape.populated) return null
  const view = {schemaName, viewName}
  return {
    severity: 'error',
    view,
    message: `${name} holds no data: whoever reads it gets an error`,
    repair: {kind: 'refresh', view, mode: mode === 'concurrent' ? 'standard' : null},
  }
})
