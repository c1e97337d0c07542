import {checkTimezone, parseCron} from '../lib/cron.ts'
import {isAybError} from '../lib/errors.ts'
import {viewOfPayload} from '../lib/payload.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import {FIRST_INSTANT, LAST_INSTANT} from '../lib/records/values.ts'
import {remediable, type Warning} from '../lib/unworded.ts'

/**
 * Whether a schedule never comes up: other programs can leave one without a next run, or with one at
 * infinity.
 */
export const isUntimed = ({nextRunAt}: Schedule): boolean =>
  nextRunAt === null || nextRunAt === FIRST_INSTANT || nextRunAt === LAST_INSTANT

/**
 * What keeps an enabled schedule from working as it stands in the table, where any program can have written
 * it.
 */
export function scheduleWarnings(schedule: Schedule): Warning[] {
  const {name, enabled, payload} = schedule
  if (!enabled) return []
  const warnings: Warning[] = []
  const problem = timingProblem(schedule)
  if (problem !== null) {
    warnings.push(
      remediable(`the schedule ${name} never runs: ${problem}`, 'to change that', {
        kind: 'retime-schedule',
        name,
      }),
    )
  } else if (isUntimed(schedule)) {
    warnings.push(
      remediable(
        `the schedule ${name} has no next run`,
        'a worker computes one within two minutes, and so does',
        {kind: 'enable-schedule', name},
      ),
    )
  }
  if (!viewOfPayload(payload)) warnings.push(`the schedule ${name} fails: its payload names no view`)
  return warnings
}

/** Why workers pass a schedule over; null where they do not. */
export function timingProblem({cronExpr, timezone}: Schedule): string | null {
  try {
    parseCron(cronExpr)
    checkTimezone(timezone)
    return null
  } catch (error) {
    if (isAybError(error)) return error.message
    throw error
  }
}
