import type {ViewName} from '../../../lib/records.ts'
import {viewTitle} from './format.ts'

export const JOB_TYPE = 'materialized_view_refresh'

/** Which view a job or schedule is about; null where its payload names none, as those of other programs. */
export function payloadView(payload: unknown): ViewName | null {
  if (typeof payload !== 'object' || payload === null) return null
  const {schema, view_name: viewName} = payload as Record<string, unknown>
  return typeof viewName === 'string' ? {schemaName: `${schema ?? 'public'}`, viewName} : null
}

/** The same, to be shown. */
export function payloadTitle(payload: unknown): string {
  const view = payloadView(payload)
  return view ? viewTitle(view) : JSON.stringify(payload)
}
