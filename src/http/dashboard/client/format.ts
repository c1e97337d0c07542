import {formatDuration} from '../../../lib/duration.ts'
import type {ViewName} from '../../../lib/records/values.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const RELATIVE = new Intl.RelativeTimeFormat('en', {numeric: 'always', style: 'short'})

export const viewTitle = ({schemaName, viewName}: ViewName): string => `${schemaName}.${viewName}`

/** The name as the API takes any: in double quotes. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** The whole name as the API takes it. */
export const quotedView = ({schemaName, viewName}: ViewName): string =>
  `${quoted(schemaName)}.${quoted(viewName)}`

/** Titles do not tell: `a.b` can be a view of any name with a dot in it. */
export const isSameView = (one: ViewName, other: ViewName): boolean =>
  one.schemaName === other.schemaName && one.viewName === other.viewName

/**
 * The text before the first mention of a name and the text behind the mention; null where the text does not mention
 * the name. A part of a longer name is no mention.
 */
export function partsAround(text: string, name: string): [string, string] | null {
  const literal = name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const mention = new RegExp(`(?<![\\p{L}\\d_$.])${literal}(?![\\p{L}\\d_$]|\\.[\\p{L}\\d_])`, 'u')
  const start = text.search(mention)
  return start < 0 ? null : [text.slice(0, start), text.slice(start + name.length)]
}

/** As a clock that counts: whole seconds below a minute. */
export const formatElapsed = (ms: number): string =>
  ms < MINUTE ? `${Math.max(0, Math.floor(ms / SECOND))} s` : formatDuration(ms)

/** `12 sec ago`, `in 3 min`, `in 2 days`. */
export function formatRelative(at: string, nowMs: number): string {
  const ms = Date.parse(at) - nowMs
  const amount = Math.abs(ms)
  if (amount < SECOND) return 'now'
  const say = (count: number, unit: Intl.RelativeTimeFormatUnit) =>
    RELATIVE.format(Math.trunc(count), unit).replace('.', '')
  if (amount < MINUTE) return say(ms / SECOND, 'second')
  if (amount < HOUR) return say(ms / MINUTE, 'minute')
  if (amount < DAY) return say(ms / HOUR, 'hour')
  return say(ms / DAY, 'day')
}

/** `Mon 2 Mar 2026, 06:00 GMT+1`, as the clocks of that zone show it. */
export function formatInZone(at: string, timezone: string): string {
  try {
    return new Intl.DateTimeFormat('en-GB', {
      timeZone: timezone,
      weekday: 'short',
      day: 'numeric',
      month: 'short',
      year: 'numeric',
      hour: '2-digit',
      minute: '2-digit',
      timeZoneName: 'short',
    }).format(new Date(at))
  } catch {
    // A zone that the server knows, and this browser does not.
    return at
  }
}

export function formatSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
