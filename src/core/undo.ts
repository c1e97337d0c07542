import {isAybError} from '../lib/errors.ts'
import {ExactJson} from '../lib/exact-json.ts'
import {quoteIfNeeded} from '../lib/identifier.ts'
import {parsePayload, viewOfPayload} from '../lib/payload.ts'
import {printableJson} from '../lib/printable.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import type {ScheduleRequest} from '../lib/schedule-request.ts'
import {checkInput, MOST_ATTEMPTS} from './schedule-input.ts'

/**
 * The request that creates the schedule once more; null where ayb would refuse one of its values, which
 * another program wrote.
 */
export function requestOf(schedule: Schedule): ScheduleRequest | null {
  const {name, cronExpr, timezone, enabled, maxAttempts, payload} = schedule
  if (maxAttempts > MOST_ATTEMPTS) return null
  try {
    const target = targetOf(payload)
    return target && {...checkInput({name, cron: cronExpr, timezone}), enabled, maxAttempts, target}
  } catch (error) {
    if (isAybError(error)) return null
    throw error
  }
}

function targetOf(payload: unknown): ScheduleRequest['target'] | null {
  const view = viewOfPayload(payload)
  if (view === null || payload instanceof ExactJson) return null
  const others = Object.keys(payload as object).filter((key) => key !== 'schema' && key !== 'view_name')
  if (others.length === 0) return {view}
  const names = {schema: quoteIfNeeded(view.schemaName), view_name: quoteIfNeeded(view.viewName)}
  const text = printableJson({...(payload as object), ...names})
  parsePayload(text)
  return {payload: text}
}
