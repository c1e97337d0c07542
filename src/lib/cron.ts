import {type CronExpression, parseCron} from './cron-expression.ts'
import {checkTimezone, type TimeZone, timeZone} from './timezone.ts'

export {type CronExpression, checkTimezone, parseCron}

// When the clocks change, this follows Vixie cron, which tells two kinds of jobs apart.
//
// Fixed times (neither minute nor hour begins with `*`: `30 2 * * *`, `0,30 1-4 * * *`) mean a time of the
// day. They run when the local clock first reaches that time, or first passes it: one that is skipped runs
// at the first instant after the gap, several in one gap run once together, and one that comes twice runs
// the first time. A date that is skipped as a whole (Samoa had no 30 December 2011) does not run at all,
// just as 30 February does not.
//
// The others (`*/15 * * * *`, `0 * * * *`, `*/5 1-4 * * *`) mean a rhythm. They run whenever the local clock
// matches: in both passes of an hour that comes twice, and not at all in one that is skipped.
//
// Unlike Vixie cron, no change of a zone's clocks is too large for this.
//
// cron-parser, which reads the expressions, can tell next runs, too, but not around a change of the clocks:
// where they go forth, `30 23 * * *` in America/Nuuk has no run on 30 March 2024; where they go back,
// `0 12 * * *` in Australia/Lord_Howe on 7 April 2024 ends in "loop limit exceeded".

const SECOND = 1000
const DAY = 86_400_000
const LAST_INSTANT = 8.64e15

/** No change of the clocks is larger than a day; the hour keeps it out of the arithmetic's way. */
const MAX_SHIFT = 25 * 3_600_000

/**
 * The first run strictly after an instant; null when there is none before the end of the range of dates.
 * @throws AybError INVALID_ARGUMENT for an unknown time zone
 */
export function nextRun(cron: CronExpression, timezone: string, after: Date): Date | null {
  const zone = timeZone(timezone)
  const from = Math.floor(after.getTime() / SECOND) * SECOND + SECOND
  if (Number.isNaN(from)) return null
  const next = cron.isFixedTime ? nextFixedTime(cron, zone, from) : nextInRhythm(cron, zone, from)
  return next === null || next > LAST_INSTANT ? null : new Date(next)
}

/**
 * The first `count` runs strictly after an instant; fewer where the range of dates ends.
 * @throws AybError INVALID_ARGUMENT for an unknown time zone
 */
export function nextRuns(cron: CronExpression, timezone: string, after: Date, count: number): Date[] {
  const runs: Date[] = []
  let last: Date | null = after
  while (runs.length < count) {
    last = nextRun(cron, timezone, last)
    if (!last) break
    runs.push(last)
  }
  return runs
}

/**
 * The last run from `from` on that is not after `until`; null where there is none.
 * @throws AybError INVALID_ARGUMENT for an unknown time zone
 */
export function lastRun(cron: CronExpression, timezone: string, from: Date, until: Date): Date | null {
  const [first, last] = [from.getTime(), until.getTime()]
  // From a minute to ever longer spans: the first span with a run has few of them.
  for (let span = 60 * SECOND; ; span *= 2) {
    const start = Math.max(first, last - span)
    let found: Date | null = null
    let next = nextRun(cron, timezone, new Date(start - 1))
    while (next && next <= until) {
      found = next
      next = nextRun(cron, timezone, next)
    }
    if (found || start === first) return found
  }
}

/** 28 years: then weekdays fall on the same dates again. */
const CALENDAR_DAYS = 10_227

/** From a leap year on. */
const CALENDAR_START = Date.UTC(2000, 0, 1)

/** The shortest time between two runs of an expression, by a clock that never changes. */
export function shortestPeriod(cron: CronExpression): number {
  let shortest = Number.POSITIVE_INFINITY
  let [first, last]: [number | null, number] = [null, 0]
  for (let time = nextTime(cron, 0); time !== null; time = nextTime(cron, time + SECOND)) {
    if (first === null) first = time
    else shortest = Math.min(shortest, time - last)
    if (shortest === SECOND) return shortest
    last = time
  }
  return Math.min(shortest, shortestOfDays(cron) - last + (first ?? 0))
}

function shortestOfDays(cron: CronExpression): number {
  const end = CALENDAR_START + CALENDAR_DAYS * DAY
  let shortest = CALENDAR_DAYS * DAY
  let last = nextDay(cron, CALENDAR_START)
  while (last !== null && last < end && shortest > DAY) {
    const next = nextDay(cron, last + DAY)
    if (next !== null) shortest = Math.min(shortest, next - last)
    last = next
  }
  return shortest
}

function nextFixedTime(cron: CronExpression, zone: TimeZone, from: number): number | null {
  // What the clock reached before it was put back is over, though it comes again.
  const reached = zone
    .changesBetween(from - MAX_SHIFT, from - SECOND)
    .map((change) => change.at + change.before)
  let local = Math.max(zone.localTime(from - SECOND) + SECOND, ...reached)
  for (;;) {
    const match = nextMatch(cron, local)
    if (match === null) return null
    const instant = zone.firstInstantAt(match)
    const day = Math.floor(match / DAY) * DAY
    const isSkippedDay = zone.localTime(instant) >= day + DAY && zone.localTime(instant - 1) < day
    if (!isSkippedDay) return instant
    local = day + DAY
  }
}

function nextInRhythm(cron: CronExpression, zone: TimeZone, from: number): number | null {
  for (let start = from; ; ) {
    const offset = zone.offsetAt(start)
    const match = nextMatch(cron, start + offset)
    if (match === null) return null
    const instant = match - offset
    // A change within this span can bring a match earlier; one beyond it only moves the match itself.
    const horizon = start + MAX_SHIFT
    const [change] = zone.changesBetween(start + SECOND, Math.min(instant, horizon))
    if (change) start = change.at
    else if (instant <= horizon) return instant
    else start = Math.max(horizon, instant - 2 * MAX_SHIFT)
  }
}

/** The first matching local time from `local` on. */
function nextMatch(cron: CronExpression, local: number): number | null {
  const from = Math.max(local, -LAST_INSTANT)
  const today = Math.floor(from / DAY) * DAY
  for (let day = nextDay(cron, today); day !== null; day = nextDay(cron, day + DAY)) {
    const time = nextTime(cron, Math.max(0, from - day))
    if (time !== null) return day + time
  }
  return null
}

/** The first matching day from `midnight` on. */
function nextDay(cron: CronExpression, midnight: number): number | null {
  const date = new Date(midnight)
  let day = midnight
  while (day <= LAST_INSTANT) {
    const month = date.getUTCMonth() + 1
    const dayOfMonth = date.getUTCDate()
    // NaN in the last month that a Date can hold, which ends the search, too.
    const monthsEnd = date.setUTCMonth(month, 1)
    if (cron.months.includes(month)) {
      for (let number = dayOfMonth; !(day >= monthsEnd) && day <= LAST_INSTANT; day += DAY, number++) {
        if (isDay(cron, number, day)) return day
      }
    }
    day = monthsEnd
  }
  return null
}

function isDay({daysOfMonth, daysOfWeek, isEitherDay}: CronExpression, number: number, day: number): boolean {
  // 1 January 1970 was a Thursday, the fourth after Sunday.
  const weekday = (((day / DAY + 4) % 7) + 7) % 7
  return isEitherDay
    ? daysOfMonth.includes(number) || daysOfWeek.includes(weekday)
    : daysOfMonth.includes(number) && daysOfWeek.includes(weekday)
}

/** The first matching time of the day, in milliseconds, from `time` on. */
function nextTime({hours, minutes, seconds}: CronExpression, time: number): number | null {
  for (const hour of hours) {
    if ((hour + 1) * 3600 * SECOND <= time) continue
    for (const minute of minutes) {
      const start = (hour * 60 + minute) * 60 * SECOND
      if (start + 60 * SECOND <= time) continue
      for (const second of seconds) {
        const candidate = start + second * SECOND
        if (candidate >= time) return candidate
      }
    }
  }
  return null
}
