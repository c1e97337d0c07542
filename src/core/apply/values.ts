// The values of a file: how each key is read, how it is written, and what a JSON Schema says of it.

import {parseAge, parseDuration, parseLockDuration} from '../../lib/duration.ts'
import {AybError, invalidArgument, isAybError} from '../../lib/errors.ts'
import {parseViewName} from '../../lib/identifier.ts'
import {nearest} from '../../lib/nearest.ts'
import {shortened} from '../../lib/outside-text.ts'
import type {ViewName} from '../../lib/records/values.ts'
import {scheduleTiming} from '../schedule-input.ts'
import type {Entry, Value, YamlFile} from './yaml-file.ts'

/** How a key is read, and what a JSON Schema says of its value. */
export interface Key<T> {
  /**
   * The value of the key.
   * @throws AybError for a value that does not fit
   */
  read(value: Value, key: string): T
  schema: Record<string, unknown>
}

/**
 * The value of an entry; undefined where it does not fit, which is a problem of the file.
 */
export function readEntry<T>(file: YamlFile, entry: Entry, {read}: Key<T>): T | undefined {
  const value = file.value(entry)
  return value === null ? undefined : attempt(file, entry, () => read(value, entry.key))
}

/** What `work` makes of an entry; undefined where it refuses, which is a problem of the file. */
export function attempt<T>(file: YamlFile, {place, path}: Entry, work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (!isAybError(error)) throw error
    file.problems.add(place, path, error)
    return undefined
  }
}

/**
 * Why a file cannot have a value that another program has stored; null where it can have all of them. Keys
 * that are not in `keys` are left to the caller.
 */
export function whyUnreadable(
  written: Readonly<Record<string, unknown>>,
  keys: Readonly<Record<string, Key<unknown>>>,
): string | null {
  try {
    for (const [key, value] of Object.entries(written)) {
      const kind = typeof value === 'number' ? 'number' : typeof value === 'boolean' ? 'boolean' : 'text'
      keys[key]?.read({text: String(value), kind}, key)
    }
    return null
  } catch (error) {
    if (isAybError(error)) return error.message
    throw error
  }
}

const QUOTED = `a name without quotes has only letters, digits, _ and $; put any other name into double quotes, and the whole into single quotes: 'public."weekly stats"'`

/**
 * The name of a view in a file.
 * @throws AybError INVALID_IDENTIFIER
 */
export function readViewName(text: string): ViewName {
  try {
    return parseViewName(text)
  } catch (error) {
    if (!isAybError(error) || error.remedy?.kind !== 'quote-name') throw error
    const hint = error.hint === null ? QUOTED : `${error.hint}; ${QUOTED}`
    throw new AybError(error.code, error.message, {hint, cause: error})
  }
}

/** Tells of a key that is not known, with the nearest that is. */
export function refuseKey(file: YamlFile, {key, place, path}: Entry, known: readonly string[]): void {
  const near = nearest(key, known)
  file.problems.say(
    place,
    path,
    `${JSON.stringify(shortened(key, 100))} is not a key here`,
    `${near === null ? '' : `did you mean ${near}? `}the keys are ${known.join(', ')}`,
  )
}

const quote = (text: string): string => JSON.stringify(shortened(text, 100))

export const choice = <T extends string>(options: readonly T[], description: string): Key<T> => ({
  read({text}, key) {
    const found = options.find((option) => option === text)
    if (found !== undefined) return found
    const near = nearest(text, options)
    const guess = near === null ? '' : `did you mean ${near}? `
    throw invalidArgument(
      `${key}: ${quote(text)} is not one of its values`,
      `${guess}write ${options.join(', ')}`,
    )
  },
  schema: {enum: options, description},
})

export const flag = (description: string): Key<boolean> => ({
  read({text, kind}, key) {
    if (kind === 'boolean') return text.toLowerCase() === 'true'
    throw invalidArgument(
      `${key}: ${quote(text)} is neither true nor false`,
      'write true or false, without quotes',
    )
  },
  schema: {type: 'boolean', description},
})

export const wholeNumber = (least: number, most: number, description: string): Key<number> => ({
  read({text, kind}, key) {
    const number = Number(text)
    if (kind === 'number' && Number.isInteger(number) && number >= least && number <= most) return number
    throw invalidArgument(
      `${key}: ${quote(text)} is not a number from ${least} to ${most}`,
      `for example: ${key}: ${least}`,
    )
  },
  schema: {type: 'integer', minimum: least, maximum: most, description},
})

/** A text that `check` lets through, in the form that `check` gives it. */
export const text = (check: (text: string) => string, description: string): Key<string> => ({
  read: (value) => check(value.text),
  schema: {type: 'string', description},
})

const DURATION = '^[0-9]+(ms|s|m|h|d)$'

const limit = (
  parse: (text: string, what: string) => number,
  schemas: readonly object[],
  description: string,
): Key<number | null> => ({
  read: (value, key) => (value.text === 'none' ? null : parse(value.text, key)),
  schema: {anyOf: [{type: 'string', pattern: DURATION}, {const: 'none'}, ...schemas], description},
})

/** A duration in milliseconds; null for none. */
export const timeLimit = (description: string): Key<number | null> =>
  limit((text, what) => parseDuration(text, what, {isZeroFine: false}), [], description)

/** A duration in milliseconds, where 0 has a meaning; null for none. */
export const lockLimit = (description: string): Key<number | null> =>
  limit(parseLockDuration, [{const: 0}], description)

/** An age in milliseconds; null for none. */
export const ageLimit = (description: string): Key<number | null> =>
  limit((text, what) => parseAge(text, what, {isZeroFine: false}), [], description)

/** The age that a schedule promises, in milliseconds. */
export const promise = (description: string): Key<number> => ({
  read({text}, key) {
    const ageMs = parseAge(text, key, {isZeroFine: false})
    scheduleTiming(undefined, ageMs)
    return ageMs
  },
  schema: {type: 'string', pattern: DURATION, description},
})
