// The schedules of a file: their keys, and the same of stored schedules.

import {checkTimezone, parseCron} from '../../lib/cron.ts'
import {writtenDuration} from '../../lib/duration.ts'
import {isAybError} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {scopeParts, viewOfPayload} from '../../lib/payload.ts'
import {checkQuietTimes, withoutNone} from '../../lib/quiet-times.ts'
import {CATCH_UPS, type CatchUp, type Schedule} from '../../lib/records/schedules.ts'
import {checkInput, MOST_ATTEMPTS} from '../schedule-input.ts'
import {
  attempt,
  choice,
  flag,
  type Key,
  promise,
  readEntry,
  readViewName,
  refuseKey,
  text,
  timeLimit,
  wholeNumber,
  whyUnreadable,
} from './values.ts'
import type {Entry, YamlFile} from './yaml-file.ts'

/** What a schedule does, by the keys of a file. */
export interface ScheduleValues {
  /** The name of the view as a person writes it, with its schema. */
  view: string
  /** Null for a schedule with a max age. */
  cron: string | null
  /** In milliseconds; null for a schedule with an expression. */
  maxAge: number | null
  timezone: string
  /** Null leaves that as it is. */
  enabled: boolean | null
  maxAttempts: number
  cascade: boolean
  withDependencies: boolean
  jitter: number | null
  catchUp: CatchUp
  notDuring: string[]
}

const DEFAULTS = {
  cron: null,
  maxAge: null,
  timezone: 'UTC',
  enabled: null,
  maxAttempts: 3,
  cascade: false,
  withDependencies: false,
  jitter: null,
  catchUp: 'latest',
  notDuring: [] as string[],
} satisfies Partial<ScheduleValues>

type PlainKey = Exclude<keyof ScheduleValues, 'notDuring'>

const PLAIN_KEYS: {[Name in PlainKey]: Key<Name extends 'enabled' ? boolean : ScheduleValues[Name]>} = {
  view: text((name) => qualifiedName(readViewName(name)), 'The view to refresh, as schema.view.'),
  cron: text(
    (cron) => checkInput({cron}).cron,
    'When to run, as a cron expression; a schedule has this key or maxAge.',
  ),
  maxAge: promise('How old the data of the view may become, in place of cron.'),
  timezone: text(
    (timezone) => checkInput({timezone}).timezone,
    'The IANA time zone of cron; UTC without it.',
  ),
  enabled: flag('Whether the schedule runs; without this key, that stays as it is.'),
  maxAttempts: wholeNumber(1, MOST_ATTEMPTS, 'How many attempts a job has before it fails.'),
  cascade: flag('After the view, also refresh the registered views that read the view.'),
  withDependencies: flag('Before the view, also refresh the registered views that the view reads.'),
  jitter: timeLimit('Begin the runs up to this long after their due times.'),
  catchUp: choice(
    CATCH_UPS,
    'Whether the last run that was missed while no worker was alive is made up for.',
  ),
}

export const SCHEDULE_KEYS = [...Object.keys(PLAIN_KEYS), 'notDuring'] as (keyof ScheduleValues)[]

const QUIET_TIME = {type: 'string', examples: ['22:00-06:00', '08:00-18:00 mon-fri']}

const QUIET_TIMES_SCHEMA = {
  anyOf: [QUIET_TIME, {type: 'array', items: QUIET_TIME}],
  description: 'When no run begins, by the clock of timezone; what was due runs once at the end.',
}

const REQUIRED = ['view'] as const
const TIMINGS = ['cron', 'maxAge'] as const

/** What a JSON Schema says of the keys of a schedule. */
export const SCHEDULE_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: REQUIRED,
  oneOf: TIMINGS.map((key) => ({required: [key]})),
  properties: Object.fromEntries(
    SCHEDULE_KEYS.map((key) => [key, key === 'notDuring' ? QUIET_TIMES_SCHEMA : PLAIN_KEYS[key].schema]),
  ),
}

/** A schedule of a file. */
export interface DeclaredSchedule {
  name: string
  values: ScheduleValues
}

/** The schedule of an entry; null where it is not described as it must be, which is a problem of the file. */
export function readSchedule(file: YamlFile, entry: Entry): DeclaredSchedule | null {
  const values: Partial<Record<keyof ScheduleValues, unknown>> = {}
  const keys = new Set<string>()
  for (const each of file.entries(entry.value, entry.path, entry.place)) {
    const key = SCHEDULE_KEYS.find((known) => known === each.key)
    if (key === undefined) {
      refuseKey(file, each, SCHEDULE_KEYS)
      continue
    }
    keys.add(key)
    const read =
      key === 'notDuring' ? readQuietTimes(file, each) : readEntry<unknown>(file, each, PLAIN_KEYS[key])
    if (read !== undefined) values[key] = read
  }
  const say = (message: string, hint: string) => file.problems.say(entry.place, entry.path, message, hint)
  if (!keys.has('view')) say('the schedule has no view', 'for example: view: public.leaderboard')
  const timings = TIMINGS.filter((key) => keys.has(key))
  if (timings.length === 0) say('the schedule has neither cron nor maxAge', 'for example: cron: "30 2 * * *"')
  if (timings.length > 1) say('the schedule has both cron and maxAge', 'leave one of them out')
  for (const [key, counts] of [
    ['jitter', values.jitter],
    ['catchUp', values.catchUp === 'none'],
  ] as const) {
    if (counts && keys.has('maxAge')) say(`${key} has no effect beside maxAge`, 'leave one of them out')
  }
  if (values.view === undefined || timings.length !== 1) return null
  if (timings.some((key) => values[key] === undefined)) return null
  return {name: entry.key, values: {...DEFAULTS, ...values} as ScheduleValues}
}

function readQuietTimes(file: YamlFile, entry: Entry): string[] | undefined {
  const values = file.values(entry)
  const texts = values?.map((value) => value.text)
  return texts && attempt(file, entry, () => checkQuietTimes(withoutNone(texts)))
}

/**
 * A schedule as a file would describe it, as far as its values, which any program may have written, allow.
 */
export function storedValues({
  payload,
  cronExpr,
  timezone,
  enabled,
  maxAttempts,
  scope,
  maxAgeMs,
  jitterMs,
  catchUp,
  notDuring,
}: Schedule): StoredValues {
  const view = viewOfPayload(payload)
  const {isCascade, isWithDependencies} = scopeParts(scope)
  return {
    view: view && qualifiedName(view),
    cron: maxAgeMs === null ? normal(cronExpr, (text) => parseCron(text).text) : null,
    maxAge: maxAgeMs,
    timezone: normal(timezone, checkTimezone),
    enabled,
    maxAttempts,
    cascade: isCascade,
    withDependencies: isWithDependencies,
    jitter: jitterMs,
    catchUp,
    notDuring,
  }
}

/** The view is null where the payload names none. */
export type StoredValues = Omit<ScheduleValues, 'view'> & {view: string | null}

function normal(text: string, check: (text: string) => string): string {
  try {
    return check(text)
  } catch (error) {
    if (isAybError(error)) return text
    throw error
  }
}

/** Why no file can describe a schedule, which another program wrote; null where one can. */
export function whyUnwritable({name, notDuring}: Schedule, values: StoredValues): string | null {
  if (values.view === null) return 'its payload names no view'
  const reason = whyUnreadable(writtenSchedule(values), PLAIN_KEYS)
  if (reason !== null) return reason
  try {
    checkInput({name, notDuring})
    return null
  } catch (error) {
    if (isAybError(error)) return error.message
    throw error
  }
}

/** The values of a schedule as a file has them, without those that say nothing. */
export function writtenSchedule(values: StoredValues): Record<string, unknown> {
  const defaults: Record<string, unknown> = {...DEFAULTS, enabled: true}
  return Object.fromEntries(
    SCHEDULE_KEYS.map((key) => [key, writtenScheduleValue(key, values)]).filter(
      ([key, value]) => value !== null && value !== defaults[key as string],
    ),
  )
}

/** The value of a key as a file has it; null where it says nothing. */
export function writtenScheduleValue(key: keyof ScheduleValues, values: StoredValues): unknown {
  if (key === 'jitter' || key === 'maxAge') {
    const ms = values[key]
    return ms === null ? null : writtenDuration(ms)
  }
  if (key === 'notDuring') return values.notDuring.length === 0 ? null : values.notDuring
  return values[key]
}
