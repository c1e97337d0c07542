import type {ViewName} from '../../../lib/records.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const RELATIVE = new Intl.RelativeTimeFormat('en', {numeric: 'always', style: 'short'})

export const viewTitle = ({schemaName, viewName}: ViewName): string => `${schemaName}.${viewName}`

/** The name as the API takes any: in double quotes. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Titles do not tell: `a.b` can be a view of any name with a dot in it. */
export const isSameView = (one: ViewName, other: ViewName): boolean =>
  one.schemaName === other.schemaName && one.viewName === other.viewName

/** `850 ms`, `12.3 s`, `4 min 10 s`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  if (ms < SECOND) return `${Math.round(ms)} ms`
  if (ms < MINUTE) return `${(ms / SECOND).toFixed(1)} s`
  return twoUnits(ms)
}

/** As a clock that counts: whole seconds. */
export const formatElapsed = (ms: number): string =>
  ms < MINUTE ? `${Math.max(0, Math.floor(ms / SECOND))} s` : twoUnits(ms)

function twoUnits(ms: number): string {
  const units = [
    {size: DAY, name: 'd'},
    {size: HOUR, name: 'h'},
    {size: MINUTE, name: 'min'},
    {size: SECOND, name: 's'},
  ]
  const first = units.findIndex(({size}) => ms >= size)
  const parts = units.slice(first, first + 2).map(({size, name}, position) => {
    const rest = position === 0 ? ms : ms % (units[first]?.size ?? 1)
    return {count: Math.floor(rest / size), name}
  })
  return parts
    .filter(({count}) => count > 0)
    .map(({count, name}) => `${count} ${name}`)
    .join(' ')
}

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
