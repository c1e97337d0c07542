const UNITS = [
  {name: 'second', seconds: 1, count: 60},
  {name: 'minute', seconds: 60, count: 60},
  {name: 'hour', seconds: 3600, count: 24},
  {name: 'day', seconds: 86_400, count: 31},
]

/** The clocks of a database and a laptop may differ by this much. */
const JUST_NOW = {pastSeconds: 10, futureSeconds: 2}

/**
 * An instant for people: `just now`, `3 minutes ago`, `in 2 hours`, past 30 days its date in UTC,
 * `2026-01-31`, and for null `never`.
 */
export function formatRelative(instant: string | null, now: Date): string {
  if (instant === null) return 'never'
  const seconds = Math.round((Date.parse(instant) - now.getTime()) / 1000)
  if (seconds > -JUST_NOW.pastSeconds && seconds < JUST_NOW.futureSeconds) return 'just now'
  const text = inUnits(Math.abs(seconds))
  if (text === null) return instant.split('T', 1).join()
  return seconds < 0 ? `${text} ago` : `in ${text}`
}

/**
 * When something is due, for people: `in 2 hours`, `due now`, `3 minutes overdue`, or the date; null where it
 * is not.
 */
export function formatDue(instant: string | null, now: Date): string | null {
  if (instant === null) return null
  const seconds = Math.round((Date.parse(instant) - now.getTime()) / 1000)
  if (seconds > 0) return seconds === 1 ? 'in 1 second' : formatRelative(instant, now)
  if (seconds > -JUST_NOW.pastSeconds) return 'due now'
  return `${inUnits(-seconds) ?? 'long'} overdue`
}

/** `3 minutes`; null past a month. */
function inUnits(seconds: number): string | null {
  for (const unit of UNITS) {
    const amount = Math.round(seconds / unit.seconds)
    if (amount < unit.count) return `${amount} ${unit.name}${amount === 1 ? '' : 's'}`
  }
  return null
}

/**
 * An instant for people, with the exact one: `3 minutes ago (2026-01-31T12:00:00.000Z)`; for null what
 * `relative` says.
 */
export function relativeAndExact(
  instant: string | null,
  now: Date,
  relative: (instant: string | null, now: Date) => string | null = formatRelative,
): string | null {
  const text = relative(instant, now)
  return instant === null ? text : `${text} (${instant})`
}
