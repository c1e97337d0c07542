import {checkTimezone, nextRun, parseCron} from '../lib/cron.ts'

/**
 * When a schedule of that timing is due next, after an instant; null where it never is.
 * @throws AybError INVALID_ARGUMENT where the expression or the time zone cannot be understood
 */
export const nextRunOf = (
  {cronExpr, timezone}: {cronExpr: string; timezone: string},
  after: Date,
): Date | null => nextRun(parseCron(cronExpr), checkTimezone(timezone), after)
