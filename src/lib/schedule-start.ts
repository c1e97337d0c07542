import {type CronExpression, lastRun, parseCron, shortestPeriod} from './cron.ts'
import {isAybError} from './errors.ts'
import {endOfQuietTime} from './quiet-times.ts'
import type {Schedule} from './records/schedules.ts'
import {hasPolicy, type SchedulePolicy} from './schedule-policy.ts'

/** How late a run may begin that counts as not missed: a worker that restarts needs seconds. */
const MISSED_AFTER_MS = 60_000

/** When the run of a schedule that is due begins. */
export interface Start {
  at: Date
  /** Whether the run was missed, and is not made up for. */
  isMissed: boolean
}

/** A schedule, as far as it says when its runs begin. */
export interface TimedSchedule extends SchedulePolicy {
  id: string
  timezone: string
}

/**
 * When the run begins that was due at `due`, which is not after `now`. Of several due times since then, the
 * last one says whether the run was missed.
 */
export function startOf(schedule: TimedSchedule, cron: CronExpression, due: Date, now: Date): Start {
  if (!hasPolicy(schedule)) return {at: due, isMissed: false}
  const {notDuring, timezone, catchUp} = schedule
  const delayMs = jitterOf(schedule, cron)
  const outside = (instant: number) => endOfQuietTime(notDuring, timezone, instant)
  const beginning = (dueAt: Date) => outside(dueAt.getTime() + delayMs)
  const current = now.getTime()
  const isQuietNow = outside(current) > current
  // What is late already begins now, or at the end of the quiet time of now.
  const at = isQuietNow ? Math.max(beginning(due), outside(current)) : beginning(due)
  if (catchUp === 'latest') return {at: new Date(at), isMissed: false}
  const last = beginning(lastRun(cron, timezone, due, now) ?? due)
  return {at: new Date(Math.max(at, last)), isMissed: last < current - MISSED_AFTER_MS}
}

/** When the next run of a schedule begins; null where it has none, or none that can be read. */
export function nextStart(schedule: Schedule): string | null {
  const {nextRunAt, timezone, notDuring, cronExpr, maxAgeMs} = schedule
  if (nextRunAt === null) return null
  try {
    // Who promises an age has no due times to spread.
    const delayMs = maxAgeMs === null ? jitterOf(schedule, parseCron(cronExpr)) : 0
    const dueAt = Date.parse(nextRunAt) + delayMs
    return new Date(endOfQuietTime(notDuring, timezone, dueAt)).toISOString()
  } catch (error) {
    if (isAybError(error)) return null
    throw error
  }
}

/**
 * How long behind its due times each run of a schedule begins: the same for all its runs, and another one for
 * another schedule. At most half of the shortest period of the expression.
 */
export function jitterOf(
  {id, jitterMs}: Pick<TimedSchedule, 'id' | 'jitterMs'>,
  cron: CronExpression,
): number {
  if (jitterMs === null || jitterMs <= 0) return 0
  return Math.floor(shareOf(id) * (longestJitter(jitterMs, cron) + 1))
}

/** The longest jitter that an expression leaves. */
export const longestJitter = (jitterMs: number, cron: CronExpression): number =>
  Math.min(jitterMs, Math.floor(shortestPeriod(cron) / 2))

/** From 0 to 1, without 1: FNV-1a, whose bits the last steps of MurmurHash3 mix. */
function shareOf(id: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(id)) hash = Math.imul(hash ^ byte, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}
