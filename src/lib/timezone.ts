import {type AybError, invalidArgument} from './errors.ts'
import {nearest} from './nearest.ts'
import {shortened} from './outside-text.ts'

const SECOND = 1000
const DAY = 86_400_000
/** The last instant that a Date can hold; the first is its negative. */
const LAST_INSTANT = 8.64e15
/** More than every offset in history: Manila had UTC-15:56 until 1844. */
const MAX_OFFSET = 16 * 3_600_000
const MAX_CACHED_DAYS = 10_000

const EXAMPLE = 'use a name of the IANA database, for example Europe/Berlin or UTC'

/** Names of today that Intl may know, but list under an older spelling only. */
const RENAMED = [
  ...['Asmara'].map((city) => `Africa/${city}`),
  ...['Buenos_Aires', 'Catamarca', 'Cordoba', 'Jujuy', 'Mendoza'].map((city) => `America/Argentina/${city}`),
  ...['Atikokan', 'Indiana/Indianapolis', 'Kentucky/Louisville', 'Nuuk'].map((city) => `America/${city}`),
  ...['Ho_Chi_Minh', 'Kathmandu', 'Kolkata', 'Yangon'].map((city) => `Asia/${city}`),
  ...['Atlantic/Faroe', 'Europe/Kyiv', 'Pacific/Chuuk', 'Pacific/Kanton', 'Pacific/Pohnpei'],
]

/** The only names of three letters in the IANA database; Intl knows others, and takes IST for India. */
const ABBREVIATIONS = /^(?:CET|EET|EST|GMT|HST|MET|MST|PRC|ROC|ROK|UCT|UTC|WET)$/i

/**
 * A change of the clocks: at that instant the offset from UTC goes from `before` to `after`, in milliseconds.
 */
interface ClockChange {
  at: number
  before: number
  after: number
}

/** The clocks of one time zone. Local times are milliseconds too, counted as if the zone were UTC. */
export class TimeZone {
  readonly #format: Intl.DateTimeFormat
  readonly #offsets = new Map<number, number>()
  readonly #changes = new Map<number, ClockChange | null>()

  /** `name` is one that `checkTimezone` lets through. */
  constructor(name: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {timeZone: name, timeZoneName: 'longOffset'})
  }

  /** How far local clocks are ahead of UTC at an instant. */
  offsetAt(instant: number): number {
    const day = Math.floor(instant / DAY)
    const change = this.#changeOn(day)
    if (!change) return this.#offsetAtStart(day)
    return instant < change.at ? change.before : change.after
  }

  /** What local clocks show at an instant. */
  localTime(instant: number): number {
    return instant + this.offsetAt(instant)
  }

  /** The clock changes from one instant to another, both included, in order. */
  changesBetween(from: number, to: number): ClockChange[] {
    const changes: ClockChange[] = []
    for (let day = Math.ceil(from / DAY) - 1; day * DAY < to; day++) {
      const change = this.#changeOn(day)
      if (change && change.at >= from && change.at <= to) changes.push(change)
    }
    return changes
  }

  /** The first instant at which local clocks show `local` or, where they skip it, something later. */
  firstInstantAt(local: number): number {
    let from = local - MAX_OFFSET
    for (const change of this.changesBetween(from, local + MAX_OFFSET)) {
      const instant = Math.max(from, local - change.before)
      if (instant < change.at) return instant
      from = change.at
    }
    return Math.max(from, local - this.offsetAt(from))
  }

  /** The change after the start of a UTC day, up to and including the start of the next. */
  #changeOn(day: number): ClockChange | null {
    const known = this.#changes.get(day)
    if (known !== undefined) return known
    const before = this.#offsetAtStart(day)
    const after = this.#offsetAtStart(day + 1)
    let change: ClockChange | null = null
    if (before !== after) {
      let low = day * DAY
      let high = low + DAY
      while (high - low > SECOND) {
        const middle = low + Math.floor((high - low) / 2 / SECOND) * SECOND
        if (this.#readOffset(middle) === before) low = middle
        else high = middle
      }
      change = {at: high, before, after}
    }
    if (this.#changes.size >= MAX_CACHED_DAYS) this.#changes.clear()
    this.#changes.set(day, change)
    return change
  }

  #offsetAtStart(day: number): number {
    const known = this.#offsets.get(day)
    if (known !== undefined) return known
    const offset = this.#readOffset(day * DAY)
    if (this.#offsets.size >= MAX_CACHED_DAYS) this.#offsets.clear()
    this.#offsets.set(day, offset)
    return offset
  }

  /** From `6/1/2026, GMT+05:45`; seconds are there when they are not zero, as before 1972. */
  #readOffset(instant: number): number {
    const text = this.#format.format(Math.max(-LAST_INSTANT, Math.min(LAST_INSTANT, instant)))
    const match = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(text)
    if (!match) return 0
    const [, sign, hours, minutes, seconds = '0'] = match
    const size = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)
    return (sign === '-' ? -size : size) * SECOND
  }
}

const zones = new Map<string, TimeZone>()

/**
 * The zone of that name, the same object for the same name.
 * @throws AybError INVALID_ARGUMENT
 */
export function timeZone(name: string): TimeZone {
  let zone = zones.get(name)
  if (!zone) {
    zone = new TimeZone(checkTimezone(name))
    zones.set(name, zone)
  }
  return zone
}

/**
 * The IANA name in its own letters; names that are links only (`US/Pacific`) become what they stand for.
 * @throws AybError INVALID_ARGUMENT for offsets, abbreviations and everything else, with a near miss
 */
export function checkTimezone(name: string): string {
  if (/^[+-]|^(?:UTC|GMT)[+-]\d/i.test(name) && !/^GMT[+-]0$/i.test(name)) {
    throw invalidArgument(`time zone ${quote(name)} is an offset, not the name of a time zone`, EXAMPLE)
  }
  const listed = namesByLetters().get(name.toLowerCase())
  if (listed) return listed
  if (/^SystemV\//i.test(name) || (/^\w{3}$/.test(name) && !ABBREVIATIONS.test(name))) throw unknown(name)
  try {
    return new Intl.DateTimeFormat('en-US', {timeZone: name}).resolvedOptions().timeZone
  } catch (error) {
    if (error instanceof RangeError) throw unknown(name)
    throw error
  }
}

let names: Map<string, string> | undefined

/** The names that Intl lists, each under its small letters. */
function namesByLetters(): Map<string, string> {
  names ??= new Map(
    ['UTC', ...Intl.supportedValuesOf('timeZone'), ...RENAMED].map((name) => [name.toLowerCase(), name]),
  )
  return names
}

function unknown(name: string): AybError {
  const typed = name.slice(0, 100).trim().replaceAll(' ', '_').toLowerCase()
  const known = [...namesByLetters().values()]
  const guess =
    typed === ''
      ? null
      : (known.find((zone) => zone.toLowerCase().endsWith(`/${typed}`)) ?? nearest(typed, known))
  return invalidArgument(`unknown time zone ${quote(name)}`, guess ? `did you mean ${guess}?` : EXAMPLE)
}

const quote = (name: string): string => JSON.stringify(shortened(name, 50))
