import fc from 'fast-check'
import {localText} from './cron-oracle.ts'

const MINUTE = 60_000
const DAY = 1440 * MINUTE

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/** A quiet time. */
export interface Window {
  from: number
  to: number
  days: number[]
}

const clock = (minute: number) =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`

/** As a schedule has the window. */
export const textOf = ({from, to, days}: Window) =>
  `${clock(from)}-${clock(to)} ${days.map((day) => DAYS[day]).join(',')}`

/** Times near the hours in which clocks change come more often. */
const minuteOfDay = fc.oneof(fc.integer({min: 0, max: 1439}), fc.integer({min: 0, max: 240}))

export const anyWindow = fc
  .record({
    from: minuteOfDay,
    to: minuteOfDay,
    days: fc.uniqueArray(fc.integer({min: 0, max: 6}), {minLength: 1, maxLength: 7}),
  })
  .filter(({from, to}) => from !== to)

/** Reads the clock of the zone, as a person would, and compares what it shows with each window. */
function isQuiet(windows: readonly Window[], zone: string, instant: number): boolean {
  const shown = localText(zone, instant)
  const minute = Number(shown.slice(11, 13)) * 60 + Number(shown.slice(14, 16))
  const today = new Date(`${shown.slice(0, 10)}T00:00Z`).getUTCDay()
  const yesterday = (today + 6) % 7
  return windows.some(({from, to, days}) =>
    from < to
      ? days.includes(today) && minute >= from && minute < to
      : (days.includes(today) && minute >= from) || (days.includes(yesterday) && minute < to),
  )
}

/** Looks at the clock once a minute until that is over; null where it is not within two weeks. */
export function waited(windows: readonly Window[], zone: string, from: number): number | null {
  let instant = from
  while (isQuiet(windows, zone, instant)) {
    instant = Math.floor(instant / MINUTE) * MINUTE + MINUTE
    if (instant > from + 14 * DAY) return null
  }
  return instant
}
