import {checkTimezone, nextRuns, parseCron} from '../lib/cron.ts'
import type {NextRuns} from '../lib/records.ts'

/**
 * When an expression comes next, from `now` on. In a file of its own: it needs no database, and loads no
 * driver.
 * @throws AybError INVALID_ARGUMENT
 */
export function previewRuns(cron: string, timezone: string, count: number, now: Date): NextRuns {
  const expression = parseCron(cron)
  const zone = checkTimezone(timezone)
  const runs = nextRuns(expression, zone, now, count).map((run) => run.toISOString())
  return {cronExpr: expression.text, timezone: zone, runs, warnings: []}
}
