import {CronExpressionParser} from 'cron-parser'
import {type AybError, invalidArgument} from './errors.ts'
import {nearest} from './nearest.ts'
import {shortened} from './outside-text.ts'

// cron-parser turns fields into values. What it gets was checked here, because it takes more than there is to
// understand (nothing at all for `* * * * *`, `5` for `* * * * 5`, `*/90` for `0`, `H` for any minute) and
// does not say which field is wrong, or how.

/** A schedule as `parseCron` understood it. */
export interface CronExpression {
  /** As it is stored and shown: single spaces, `@names` in small letters. */
  readonly text: string
  readonly seconds: readonly number[]
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly daysOfMonth: readonly number[]
  /** January is 1. */
  readonly months: readonly number[]
  /** Sunday is 0. */
  readonly daysOfWeek: readonly number[]
  /** Whether a day needs to match only one of day-of-month and day-of-week. */
  readonly isEitherDay: boolean
  /** Whether it means times of the day, and not a rhythm: neither minute nor hour begins with `*`. */
  readonly isFixedTime: boolean
}

interface Field {
  name: string
  /** What cron-parser calls it. */
  key: 'second' | 'minute' | 'hour' | 'dayOfMonth' | 'month' | 'dayOfWeek'
  min: number
  max: number
  /** Where steps end, if not at `max`. */
  last?: number
  /** Names of the values, from `min` on. */
  names?: readonly string[]
}

type Invalid = (problem: string, hint?: string) => AybError

const MAX_LENGTH = 100
const MAX_KNOWN_FIELDS = 1000

const HINT = 'five fields: minute hour day-of-month month day-of-week, for example "0 * * * *"'

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

const SECOND: Field = {name: 'second', key: 'second', min: 0, max: 59}
const MINUTE: Field = {name: 'minute', key: 'minute', min: 0, max: 59}
const HOUR: Field = {name: 'hour', key: 'hour', min: 0, max: 23}
const DAY_OF_MONTH: Field = {name: 'day-of-month', key: 'dayOfMonth', min: 1, max: 31}
const MONTH: Field = {name: 'month', key: 'month', min: 1, max: 12, names: MONTHS}
const DAY_OF_WEEK: Field = {name: 'day-of-week', key: 'dayOfWeek', min: 0, max: 7, last: 6, names: DAYS}
const FIELDS = [SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK]

/** In a leap year. */
const DAYS_IN_MONTH = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

const NAMED: ReadonlyMap<string, string> = new Map([
  ['@yearly', '0 0 1 1 *'],
  ['@annually', '0 0 1 1 *'],
  ['@monthly', '0 0 1 * *'],
  ['@weekly', '0 0 * * 0'],
  ['@daily', '0 0 * * *'],
  ['@midnight', '0 0 * * *'],
  ['@hourly', '0 * * * *'],
])

/** What Quartz, Jenkins and others added: `?`, `5#3`, `L`, `15W`, `friL`, `H/15`. */
const EXTENSION = /[?#]|^(?:h|lw?|\d+[lw]|[a-z]{3}l)(?![a-z])/i

/**
 * Reads five cron fields, six with leading seconds, or a name such as `@hourly`.
 * @throws AybError INVALID_ARGUMENT, which names the field and what is wrong with it
 */
export function parseCron(expression: string): CronExpression {
  const words = expression.split(/[ \t]+/).filter(Boolean)
  const text = words.join(' ')
  const invalid: Invalid = (problem, hint = HINT) =>
    invalidArgument(
      `invalid cron expression ${JSON.stringify(shortened(expression, MAX_LENGTH))}: ${problem}`,
      hint,
    )

  const foreign = /[^\t\x20-\x7e]/u.exec(expression)?.[0].codePointAt(0)
  if (foreign !== undefined) {
    const code = foreign.toString(16).toUpperCase().padStart(4, '0')
    throw invalid(`the character U+${code} has no place in it`)
  }
  if (text === '') throw invalid('it is empty')
  if (text.length > MAX_LENGTH) {
    throw invalid(`it has ${text.length} characters, and at most ${MAX_LENGTH} can be stored`)
  }
  if (text.startsWith('@')) {
    const name = text.toLowerCase()
    const fields = NAMED.get(name)
    if (!fields) throw invalid(unknownName(name))
    return {...parseFields(fields.split(' '), invalid), text: name}
  }
  if (words.length !== 5 && words.length !== 6) {
    const found = words.length === 1 ? '1 field' : `${words.length} fields`
    throw invalid(`it has ${found}, not five, or six with leading seconds`)
  }
  return {...parseFields(words, invalid), text}
}

function unknownName(name: string): string {
  const near = nearest(name, NAMED.keys())
  return near
    ? `there is no such name, did you mean ${near}?`
    : `the names are ${[...NAMED.keys()].join(' ')}`
}

function parseFields(words: string[], invalid: Invalid): Omit<CronExpression, 'text'> {
  const [second, minute, hour, dayOfMonth, month, dayOfWeek] = (
    words.length === 6 ? words : ['0', ...words]
  ) as [string, string, string, string, string, string]
  const fields = {
    seconds: parseField(SECOND, second, invalid),
    minutes: parseField(MINUTE, minute, invalid),
    hours: parseField(HOUR, hour, invalid),
    daysOfMonth: parseField(DAY_OF_MONTH, dayOfMonth, invalid),
    months: parseField(MONTH, month, invalid),
    daysOfWeek: parseField(DAY_OF_WEEK, dayOfWeek, invalid),
    // As in Vixie cron, where a field is unrestricted when it begins with a star: `*/2` is, too.
    isEitherDay: !dayOfMonth.startsWith('*') && !dayOfWeek.startsWith('*'),
    isFixedTime: !minute.startsWith('*') && !hour.startsWith('*'),
  }
  // Every day of every month, 29 February included, falls on every day of the week in the end.
  const firstDay = Math.min(...fields.daysOfMonth)
  const comes = fields.months.some((number) => firstDay <= (DAYS_IN_MONTH[number - 1] as number))
  if (!comes && !fields.isEitherDay) throw invalid(`day-of-month ${dayOfMonth} never comes in month ${month}`)
  return fields
}

const knownFields = new Map<string, readonly number[]>()

function parseField(field: Field, text: string, invalid: Invalid): readonly number[] {
  const id = `${field.name} ${text}`
  const known = knownFields.get(id)
  if (known) return known
  const items = text.split(',').map((item) => checkItem(field, item, invalid))
  const values = [...new Set(items.flatMap((item) => readItem(field, item)))].sort((a, b) => a - b)
  if (knownFields.size >= MAX_KNOWN_FIELDS) knownFields.clear()
  knownFields.set(id, values)
  return values
}

/** The values of one item of a list: cron-parser refuses lists that name a value twice, as `1,1` or `*,5`. */
function readItem(field: Field, item: string): number[] {
  const text = FIELDS.map((other) => (other === field ? item : '*')).join(' ')
  // The date does not matter here, and 1970 in UTC is quicker than the present in the local time zone.
  const {fields} = CronExpressionParser.parse(text, {currentDate: 0, tz: 'UTC'})
  const values = fields[field.key].values.map(Number)
  // Sunday is 0, 7, or both.
  return field === DAY_OF_WEEK ? values.map((value) => value % 7) : values
}

/** Returns the item as it is handed to cron-parser. */
function checkItem(field: Field, item: string, invalid: Invalid): string {
  const {name, min, max, last = max} = field
  const match = /^(?:\*|([a-z\d]+)(?:-([a-z\d]+))?)(?:\/(\d+))?$/i.exec(item)
  if (item === '') throw invalid(`${name} has a comma too many`)
  if (EXTENSION.test(item)) throw invalid(`${name} "${item}": ?, #, L, W and H are not supported`)
  if (!match) throw invalid(`${name} "${item}" is not a number, a range, a step or *`)

  const [, first, second, every] = match
  const step = every === undefined ? 1 : Number(every)
  if (step === 0) throw invalid(`${name} step ${item} must be at least 1`)
  // `*/90` would quietly be hourly.
  if (step > last - min + 1) throw invalid(`${name} step ${item} is longer than the range ${min}-${last}`)

  if (first === undefined) return item
  const from = parseValue(field, first, invalid)
  if (second === undefined) {
    // cron-parser takes `1/2` in day-of-week for `1-7/2`, which is Sunday, too.
    return every === undefined ? item : `${from}-${Math.max(from, last)}/${step}`
  }
  if (from > parseValue(field, second, invalid)) {
    throw invalid(`${name} range ${first}-${second} is reversed`, splitRange(field, {from, item, step}))
  }
  return item
}

/** How to write a range that goes past its end, such as `22-4`; undefined where its steps would not go on. */
function splitRange(
  {min, max, last = max}: Field,
  {from, item, step}: {from: number; item: string; step: number},
): string | undefined {
  const rest = `${min}${item.slice(item.indexOf('-'))}`
  // Sunday as 7 is the end already.
  if (from > last) return `write ${rest}`
  if ((last - from + 1) % step !== 0) return undefined
  const start = `${item.slice(0, item.indexOf('-'))}-${last}${item.replace(/^[^/]*/, '')}`
  return `a range does not go past its end: write ${start},${rest}`
}

function parseValue({name, min, max, names}: Field, word: string, invalid: Invalid): number {
  if (/^\d+$/.test(word)) {
    const value = Number(word)
    if (value < min || value > max) throw invalid(`${name} ${word} is out of range ${min}-${max}`)
    return value
  }
  const index = names?.indexOf(word.toLowerCase()) ?? -1
  if (index >= 0) return index + min
  throw invalid(`${name} "${word}" is not a number${names ? ` or one of ${names.join(' ')}` : ''}`)
}
