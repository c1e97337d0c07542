import {BoundedMap} from './bounded-map.ts'
import {invalidArgument, isAybError} from './errors.ts'
import {shortened} from './outside-text.ts'
import {timeZone} from './timezone.ts'

const MINUTE = 60_000
const DAY_MINUTES = 1440
const WEEK_MINUTES = 7 * DAY_MINUTES
/** 1 January 1970 was a Thursday; weeks begin on Sunday here. */
const FIRST_WEEKDAY = 4

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const MOST = 100
const NONE = 'none'
const EXAMPLE = 'for example: "22:00-06:00", or "08:00-18:00 mon-fri"'

/** A time of the day in which no run of a schedule begins, by the clock of its time zone. */
interface QuietTime {
  /** As it is stored and shown: `08:00-18:00 mon-fri`. */
  text: string
  /** In minutes of the day; it ends on the next day where `to` is not behind `from`. */
  from: number
  to: number
  /** The weekdays on which it begins; Sunday is 0. */
  days: readonly number[]
}

/**
 * The quiet times as they are stored: each once.
 * @throws AybError INVALID_ARGUMENT for what is none, and where no time is left
 */
export function checkQuietTimes(texts: readonly string[]): string[] {
  const times = [...new Set(texts.map((text) => parseQuietTime(text).text))]
  if (times.length > MOST) {
    throw invalidArgument(`there are ${times.length} quiet times`, `at most ${MOST} can be stored`)
  }
  if (new QuietTimes(times).isAlways) {
    throw invalidArgument('the quiet times leave no minute of the week', 'leave some time for runs')
  }
  return times
}

/**
 * The quiet times that a person has written, where the word none alone stands for no times.
 * @throws AybError INVALID_ARGUMENT where none stands beside others
 */
export function withoutNone(texts: readonly string[]): string[] {
  const times = texts.filter((text) => text !== NONE)
  if (times.length === 0 || times.length === texts.length) return times
  throw invalid(NONE, 'stands beside a quiet time', 'leave out none, or the times')
}

function parseQuietTime(text: string): QuietTime {
  const match = /^\s*(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)(?:\s+([a-z,\s-]+))?\s*$/i.exec(text)
  if (!match) throw invalid(text, 'is not a quiet time')
  const [, fromHour, fromMinute, toHour, toMinute, weekdays] = match
  const from = minuteOf(fromHour, fromMinute)
  const to = minuteOf(toHour, toMinute)
  if (from >= DAY_MINUTES || to > DAY_MINUTES || Number(fromMinute) > 59 || Number(toMinute) > 59) {
    throw invalid(text, 'has a time that does not exist')
  }
  if (from === to) throw invalid(text, 'has no length', 'for a whole day: "00:00-24:00 sun"')
  const days = weekdays === undefined ? null : daysOf(weekdays, text)
  const named = days === null ? '' : ` ${days.text}`
  return {
    text: `${clock(from)}-${clock(to)}${named}`,
    ...{from, to, days: days?.days ?? [0, 1, 2, 3, 4, 5, 6]},
  }
}

const minuteOf = (hour = '', minute = ''): number => Number(hour) * 60 + Number(minute)

const clock = (minute: number): string =>
  [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, '0')).join(':')

/** The days of `mon-fri`, or `sat,sun`; a range may go over the end of the week. */
function daysOf(text: string, whole: string): {text: string; days: number[]} {
  const trimmed = (part: string, separator: string) => part.split(separator).map((each) => each.trim())
  const parts = trimmed(text.toLowerCase(), ',').map((part) => trimmed(part, '-').join('-'))
  const days = parts.flatMap((part) => {
    const [first, last = first, ...others] = part.split('-').map((name) => DAYS.indexOf(name))
    if (first === undefined || last === undefined || first < 0 || last < 0 || others.length > 0) {
      throw invalid(
        whole,
        `has a weekday ${JSON.stringify(part)}`,
        `weekdays are ${DAYS.join(', ')}, or mon-fri`,
      )
    }
    return Array.from({length: ((last - first + 7) % 7) + 1}, (_, step) => (first + step) % 7)
  })
  return {text: parts.join(','), days}
}

const invalid = (text: string, problem: string, hint = EXAMPLE) =>
  invalidArgument(`not during: ${JSON.stringify(shortened(text, 50))} ${problem}`, hint)

/** The quiet times of a schedule: all minutes of a week by the local clock. */
class QuietTimes {
  readonly #isQuiet = new Uint8Array(WEEK_MINUTES)
  /** Whether no minute of the week is left: what another program has stored so counts for nothing. */
  readonly isAlways: boolean

  /** Texts that are no quiet times, which another program has stored, are left out. */
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      const time = readable(text)
      if (time === null) continue
      const length = (time.to - time.from + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES
      for (const day of time.days) {
        for (let minute = 0; minute < length; minute++) {
          this.#isQuiet[(day * DAY_MINUTES + time.from + minute) % WEEK_MINUTES] = 1
        }
      }
    }
    this.isAlways = this.#isQuiet.every((quiet) => quiet === 1)
  }

  /**
   * The first instant from `instant` on, in milliseconds, at which the clock of the zone shows no quiet time.
   * What the clock shows counts: a time that is skipped when clocks go forth is not quiet, and a time that
   * comes twice is quiet twice.
   */
  endAt(timezone: string, instant: number): number {
    if (this.isAlways) return instant
    const zone = timeZone(timezone)
    for (let at = instant; ; ) {
      const local = zone.localTime(at)
      const localEnd = this.#endByClock(local)
      if (localEnd === local) return at
      const end = at + localEnd - local
      const [change] = zone.changesBetween(at + 1, end)
      at = change ? change.at : end
    }
  }

  #endByClock(local: number): number {
    const first = Math.floor(local / MINUTE)
    let minute = first
    while (this.#isQuiet[minuteOfWeek(minute)] === 1) minute++
    return minute === first ? local : minute * MINUTE
  }
}

/** Of local minutes since 1970. */
const minuteOfWeek = (minute: number): number =>
  (((minute + FIRST_WEEKDAY * DAY_MINUTES) % WEEK_MINUTES) + WEEK_MINUTES) % WEEK_MINUTES

function readable(text: string): QuietTime | null {
  try {
    return parseQuietTime(text)
  } catch (error) {
    if (isAybError(error)) return null
    throw error
  }
}

const known = new BoundedMap<string, QuietTimes>(100)

/**
 * The first instant from `instant` on, in milliseconds, outside of the quiet times of a schedule. Of a time
 * zone that nobody knows, which another program has stored, there are none.
 */
export function endOfQuietTime(texts: readonly string[], timezone: string, instant: number): number {
  if (texts.length === 0) return instant
  try {
    return quietTimes(texts).endAt(timezone, instant)
  } catch (error) {
    if (isAybError(error)) return instant
    throw error
  }
}

/** Many schedules have the same. */
function quietTimes(texts: readonly string[]): QuietTimes {
  const key = texts.join('\n')
  const times = known.get(key) ?? new QuietTimes(texts)
  known.set(key, times)
  return times
}

/** The texts that are no quiet times, which another program has stored. */
export const unreadableQuietTimes = (texts: readonly string[]): string[] =>
  texts.filter((text) => readable(text) === null)
