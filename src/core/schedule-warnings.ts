import {checkTimezone, parseCron} from '../lib/cron.ts'
import {formatDuration} from '../lib/duration.ts'
import {isAybError} from '../lib/errors.ts'
import {shortened} from '../lib/outside-text.ts'
import {viewOfPayload} from '../lib/payload.ts'
import {endOfQuietTime, unreadableQuietTimes} from '../lib/quiet-times.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import {FIRST_INSTANT, LAST_INSTANT} from '../lib/records/values.ts'
import {longestJitter} from '../lib/schedule-start.ts'
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
  const unreadable = unreadableQuietTimes(schedule.notDuring)
  if (unreadable.length > 0) {
    const texts = unreadable.map((text) => JSON.stringify(shortened(text, 50))).join(', ')
    warnings.push(`the schedule ${name} has quiet times that cannot be read, and are ignored: ${texts}`)
  }
  if (!viewOfPayload(payload)) warnings.push(`the schedule ${name} fails: its payload names no view`)
  return warnings
}

/** That the jitter of a schedule is too long for its expression. */
export function jitterWarnings(
  schedule: Pick<Schedule, 'name' | 'jitterMs' | 'cronExpr' | 'timezone'>,
): Warning[] {
  const {name, jitterMs, cronExpr} = schedule
  if (jitterMs === null || timingProblem(schedule) !== null) return []
  const longest = longestJitter(jitterMs, parseCron(cronExpr))
  if (longest === jitterMs) return []
  return [
    `the jitter of the schedule ${name}, ${formatDuration(jitterMs)}, counts as ${formatDuration(longest)}, half of the shortest time between two runs`,
  ]
}

/** That a run of a schedule has to wait now. */
export function quietWarnings({name, notDuring, timezone}: Schedule, now: Date): Warning[] {
  const end = endOfQuietTime(notDuring, timezone, now.getTime())
  if (end <= now.getTime()) return []
  return [`the schedule ${name} begins no run now: workers wait until ${new Date(end).toISOString()}`]
}

/** Why workers pass a schedule over; null where they do not. */
export function timingProblem({cronExpr, timezone}: Pick<Schedule, 'cronExpr' | 'timezone'>): string | null {
  try {
    parseCron(cronExpr)
    checkTimezone(timezone)
    return null
  } catch (error) {
    if (isAybError(error)) return error.message
    throw error
  }
}
