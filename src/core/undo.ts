import {isAybError} from '../lib/errors.ts'
import {ExactJson} from '../lib/exact-json.ts'
import {quoteIfNeeded} from '../lib/identifier.ts'
import {parsePayload, scopeOfPayload, viewOfPayload} from '../lib/payload.ts'
import {printableJson} from '../lib/printable.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import {policyIn} from '../lib/schedule-policy.ts'
import type {ScheduleRequest} from '../lib/schedule-request.ts'
import {checkInput, MOST_ATTEMPTS} from './schedule-input.ts'

/**
 * The request that creates the schedule once more; null where ayb would refuse one of its values, which
 * another program wrote.
 */
export function requestOf(schedule: Schedule): ScheduleRequest | null {
  const {name, cronExpr, maxAgeMs, timezone, enabled, maxAttempts, payload, scope, notDuring} = schedule
  if (maxAttempts > MOST_ATTEMPTS) return null
  try {
    const target = targetOf(payload)
    if (target === null) return null
    const input = checkInput({name, cron: cronExpr, timezone, notDuring})
    const ownScope = 'view' in target ? scope : null
    return {...policyIn(schedule), ...input, maxAgeMs, enabled, maxAttempts, target, scope: ownScope}
  } catch (error) {
    if (isAybError(error)) return null
    throw error
  }
}

/** What the name of the view and the scope say. */
const SAID_OTHERWISE = ['schema', 'view_name', 'scope']

function targetOf(payload: unknown): ScheduleRequest['target'] | null {
  const view = viewOfPayload(payload)
  if (view === null || payload instanceof ExactJson) return null
  const others = Object.keys(payload as object).filter((key) => !SAID_OTHERWISE.includes(key))
  const isPlain =
    others.length === 0 && (scopeOfPayload(payload) !== null || !('scope' in (payload as object)))
  if (isPlain) return {view}
  const names = {schema: quoteIfNeeded(view.schemaName), view_name: quoteIfNeeded(view.viewName)}
  const text = printableJson({...(payload as object), ...names})
  parsePayload(text)
  return {payload: text}
}
