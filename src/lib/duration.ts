import {invalidArgument} from './errors.ts'

const UNITS_MS: Record<string, number> = {ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000}

/** Timeouts of Postgres and timers of Node are 32-bit milliseconds. */
const MAX_MS = 2_147_483_647

/** The milliseconds of a text such as `500ms`; null where it is no duration. */
export function durationIn(text: string): number | null {
  const [, count, unit = ''] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? []
  return count === undefined ? null : Number(count) * (UNITS_MS[unit] as number)
}

/**
 * The milliseconds of `500ms`, `30s`, `5m`, `2h` or `7d`. To Postgres, a statement timeout of 0 means no
 * limit, which a user does not expect: such timeouts pass `isZeroFine: false`.
 * @throws AybError INVALID_ARGUMENT
 */
export function parseDuration(
  text: string,
  what: string,
  {isZeroFine = true, longestMs = MAX_MS} = {},
): number {
  const ms = durationIn(text)
  if (ms === null) {
    throw invalidArgument(
      `${what}: ${JSON.stringify(text)} is not a duration`,
      'write a whole number and a unit: 500ms, 30s, 5m, 2h or 7d',
    )
  }
  if (ms === 0 && !isZeroFine)
    throw invalidArgument(`${what}: ${text} is no time`, 'leave it out for no limit')
  if (ms > longestMs) {
    throw invalidArgument(
      `${what}: ${text} is too long`,
      `the longest is ${Math.floor(longestMs / 86_400_000)}d`,
    )
  }
  return ms
}

/** A hundred years. */
export const MAX_AGE_MS = 36_525 * 86_400_000

/**
 * Like parseDuration, for an age.
 * @throws AybError INVALID_ARGUMENT
 */
export const parseAge = (text: string, what: string, {isZeroFine = true} = {}): number =>
  parseDuration(text, what, {isZeroFine, longestMs: MAX_AGE_MS})

/**
 * Like parseAge, and also takes `0`, which keeps everything.
 * @throws AybError INVALID_ARGUMENT
 */
export const parseRetention = (text: string, what: string): number =>
  text === '0' ? 0 : parseAge(text, what)

/**
 * Like parseDuration, and also takes `0`.
 * @throws AybError INVALID_ARGUMENT
 */
export const parseLockDuration = (text: string, what: string): number =>
  text === '0' ? 0 : parseDuration(text, what)

/**
 * A duration as a person writes it, in the largest unit that leaves no rest: `90m`, `1h`; 0 without a unit.
 */
export function writtenDuration(ms: number): string | number {
  if (ms === 0) return 0
  const units = Object.entries(UNITS_MS).reverse()
  const [unit, size] = units.find(([, size]) => ms % size === 0) ?? ['ms', 1]
  return `${ms / size}${unit}`
}

/** Milliseconds for people: `342 ms`, `1.5 s`, `3 m 05 s`, `2 h 10 m`, `3 d 04 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return pair(seconds, 60, 'm', 's')
  const minutes = Math.round(seconds / 60)
  if (minutes < 1440) return pair(minutes, 60, 'h', 'm')
  return pair(Math.round(minutes / 60), 24, 'd', 'h')
}

function pair(total: number, base: number, big: string, small: string): string {
  return `${Math.floor(total / base)} ${big} ${String(total % base).padStart(2, '0')} ${small}`
}
