import type {ViewName} from '../../../lib/records/values.ts'
import {viewTitle} from './format.ts'

export const JOB_TYPE = 'materialized_view_refresh'

/** The view of a job or schedule; null where the payload names no view, such as that of another program. */
export function payloadView(payload: unknown): ViewName | null {
  if (typeof payload !== 'object' || payload === null) return null
  const {schema, view_name: viewName} = payload as Record<string, unknown>
  const schemaName = schema ?? 'public'
  return typeof viewName === 'string' && typeof schemaName === 'string' ? {schemaName, viewName} : null
}

const LONGEST_TITLE = 200

/** A payload can nest deeper than JSON.stringify goes. */
function jsonOf(payload: unknown): string {
  try {
    return JSON.stringify(payload)
  } catch {
    return '…'
  }
}

/** The same, to be shown. */
export function payloadTitle(payload: unknown): string {
  const view = payloadView(payload)
  return view ? viewTitle(view) : jsonOf(payload).slice(0, LONGEST_TITLE)
}
