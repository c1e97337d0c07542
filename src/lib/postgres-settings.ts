import {invalidArgument} from './errors.ts'
import {nearest} from './nearest.ts'
import {bounded} from './outside-text.ts'

/** Settings of Postgres for REFRESH alone, by their names. */
export type PostgresSettings = Readonly<Record<string, string>>

/** One of them. */
export interface Setting {
  name: string
  value: string
}

/** Changes of such settings; null takes one away. */
export type SettingChanges = Readonly<Record<string, string | null>>

/**
 * What a refresh may set, beside the `enable_…` settings of the planner: memory, parallelism, plans, disks.
 */
const ALLOWED = [
  'work_mem',
  'hash_mem_multiplier',
  'maintenance_work_mem',
  'max_parallel_workers_per_gather',
  'max_parallel_maintenance_workers',
  'jit',
  'random_page_cost',
  'seq_page_cost',
  'effective_io_concurrency',
  'temp_tablespaces',
]

/** The server knows which of them there are: each version adds some. */
const PLANNER = /^enable_[a-z_]{1,50}$/

const HINT = `a refresh may set ${ALLOWED.join(', ')}, and enable_… of the planner`

/** More than anybody writes. */
const LONGEST_VALUE = 1000

// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern looks for control characters
const CONTROL = /[\u0000-\u001f\u007f]/

const isAllowedName = (name: string): boolean => ALLOWED.includes(name) || PLANNER.test(name)

const isAllowedValue = (value: string): boolean => value.length <= LONGEST_VALUE && !CONTROL.test(value)

/** Whether a refresh may set that. Everything that reaches SQL has passed this. */
export const isAllowedSetting = ({name, value}: Setting): boolean =>
  isAllowedName(name) && isAllowedValue(value)

/**
 * The name of a setting, in lower case as Postgres shows it.
 * @throws AybError INVALID_ARGUMENT
 */
export function parseSettingName(text: string, what: string): string {
  const name = text.trim().toLowerCase()
  if (isAllowedName(name)) return name
  const near = nearest(name, ALLOWED)
  throw invalidArgument(
    `${what}: a refresh cannot set ${JSON.stringify(text.trim())}`,
    near === null ? HINT : `did you mean ${near}? ${HINT}`,
  )
}

/**
 * The name and the value of `work_mem=256MB`. Whether the value fits is for the server to say.
 * @throws AybError INVALID_ARGUMENT
 */
export function parseSetting(text: string, what: string): Setting {
  const end = text.indexOf('=')
  if (end < 0) {
    throw invalidArgument(
      `${what}: ${JSON.stringify(text)} is not a setting with a value`,
      'write the name, an equals sign and the value: work_mem=256MB',
    )
  }
  const name = parseSettingName(text.slice(0, end), what)
  const value = text.slice(end + 1).trim()
  if (!isAllowedValue(value)) {
    throw invalidArgument(
      `${what}: the value of ${name} is too long, or has a control character`,
      'for example: work_mem=256MB',
    )
  }
  return {name, value}
}

/**
 * The changes that somebody asks for. Of two values for one name, the later counts.
 * @throws AybError INVALID_ARGUMENT where a setting is both given and taken away
 */
export function settingChanges(given: readonly Setting[], takenAway: readonly string[]): SettingChanges {
  const both = given.find(({name}) => takenAway.includes(name))
  if (both) {
    throw invalidArgument(`${both.name} is both set and unset`, 'leave one of the two out')
  }
  return Object.fromEntries([
    ...given.map(({name, value}) => [name, value] as const),
    ...takenAway.map((name) => [name, null] as const),
  ])
}

/** The settings with the changes, by name. */
export function changeSettings(settings: PostgresSettings, changes: SettingChanges): PostgresSettings {
  const changed = Object.entries({...settings, ...changes})
  return sortSettings(changed.filter((entry): entry is [string, string] => entry[1] !== null))
}

/** More than a view has of its own. */
const MOST_STORED = 100

/**
 * Settings as they were stored, by name, as far as they are texts. Any program may have written them: there
 * are few, and each is bounded. A text that is cut stays longer than a value that a refresh may set.
 */
export function storedSettings(stored: unknown): PostgresSettings {
  const entries = stored !== null && typeof stored === 'object' ? Object.entries(stored) : []
  const texts = entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return sortSettings(texts.slice(0, MOST_STORED).map(([name, value]) => [bounded(name), bounded(value)]))
}

const sortSettings = (entries: [string, string][]): PostgresSettings =>
  Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
