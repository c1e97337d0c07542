import {checkTimezone, nextRuns, parseCron} from '../lib/cron.ts'
import type {NextRuns} from '../lib/records/schedules.ts'

/**
 * The next runs of a cron expression, from `now` on. This file is separate because the preview needs no
 * database and must not load the driver.
 * @throws AybError INVALID_ARGUMENT
 */
export function previewRuns(cron: string, timezone: string, count: number, now: Date): NextRuns {
  const expression = parseCron(cron)
  const zone = checkTimezone(timezone)
  const runs = nextRuns(expression, zone, now, count).map((run) => run.toISOString())
  return {cronExpr: expression.text, timezone: zone, runs, warnings: []}
}
