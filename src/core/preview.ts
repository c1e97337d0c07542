import {checkTimezone, nextRun, parseCron} from '../lib/cron.ts'
import {checkQuietTimes, endOfQuietTime} from '../lib/quiet-times.ts'
import type {NextRuns} from '../lib/records/schedules.ts'

/** What says when the runs of a schedule begin. */
interface PreviewedSchedule {
  cron: string
  timezone: string
  notDuring: readonly string[]
}

/**
 * The next runs of a cron expression, from `now` on. This file is separate because the preview needs no
 * database and must not load the driver.
 * @throws AybError INVALID_ARGUMENT
 */
export function previewRuns(
  {cron, timezone, notDuring}: PreviewedSchedule,
  count: number,
  now: Date,
): NextRuns {
  const expression = parseCron(cron)
  const zone = checkTimezone(timezone)
  const quiet = checkQuietTimes(notDuring)
  const runs: string[] = []
  let last = now
  while (runs.length < count) {
    const due = nextRun(expression, zone, last)
    if (!due) break
    last = new Date(endOfQuietTime(quiet, zone, due.getTime()))
    runs.push(last.toISOString())
  }
  return {cronExpr: expression.text, timezone: zone, runs, warnings: []}
}
