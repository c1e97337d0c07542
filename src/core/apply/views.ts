// The views of a file: their keys, and the same of registrations.

import {writtenDuration} from '../../lib/duration.ts'
import type {Place} from '../../lib/file-problems.ts'
import type {PolicyChanges} from '../../lib/policies.ts'
import {isAllowedSetting, type PostgresSettings, parseSetting} from '../../lib/postgres-settings.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import {REQUESTED_MODES, type RequestedMode, type ViewName} from '../../lib/records/values.ts'
import {requestedMode} from '../refresh/mode.ts'
import {
  ageLimit,
  attempt,
  choice,
  flag,
  type Key,
  lockLimit,
  readEntry,
  refuseKey,
  timeLimit,
  whyUnreadable,
} from './values.ts'
import {type Entry, type KeyPlace, placeOf, type YamlFile} from './yaml-file.ts'

/** How a view is to be refreshed, by the keys of a file. */
export interface ViewValues {
  mode: RequestedMode
  maxAge: number | null
  skipUnchanged: boolean
  refreshAtLeastEvery: number | null
  set: PostgresSettings
  refreshTimeout: number | null
  lockTimeout: number | null
  lockRetryFor: number | null
}

/** What a key that is left out means. */
const DEFAULTS: ViewValues = {
  mode: 'standard',
  maxAge: null,
  skipUnchanged: false,
  refreshAtLeastEvery: null,
  set: {},
  refreshTimeout: null,
  lockTimeout: null,
  lockRetryFor: null,
}

type PlainKey = Exclude<keyof ViewValues, 'set'>

const PLAIN_KEYS: {[Name in PlainKey]: Key<ViewValues[Name]>} = {
  mode: choice(
    REQUESTED_MODES,
    'Whether refreshes block readers (standard) or not (concurrent); auto: concurrent where that works.',
  ),
  maxAge: ageLimit('How old the data may become before ayb matviews status calls it stale.'),
  skipUnchanged: flag('Whether sets and the worker skip the view while nothing that it reads has changed.'),
  refreshAtLeastEvery: ageLimit('Refresh the view after this long in any case; none: after 24 hours.'),
  refreshTimeout: timeLimit('Cancel a refresh that takes longer than this.'),
  lockTimeout: lockLimit('Give up if a lock is not free within this time; 0 waits without limit.'),
  lockRetryFor: lockLimit('How long to keep trying to lock the view; 0 tries once.'),
}

export const VIEW_KEYS = Object.keys(DEFAULTS) as (keyof ViewValues)[]

/** What a JSON Schema says of the keys of a view. */
export const VIEW_SCHEMA = {
  type: ['object', 'null'],
  additionalProperties: false,
  properties: Object.fromEntries(
    VIEW_KEYS.map((key) => [
      key,
      key === 'set'
        ? {
            type: 'object',
            description: 'Settings of Postgres for each refresh, such as work_mem: 256MB.',
            additionalProperties: {type: ['string', 'number', 'boolean']},
          }
        : PLAIN_KEYS[key].schema,
    ]),
  ),
}

/** A view of a file. */
export interface DeclaredView extends ViewName {
  values: ViewValues
  /** Of the name. */
  entry: KeyPlace
  /** Of the keys, as far as the view has its own or the file has defaults. */
  entries: Map<string, KeyPlace>
}

/** What some keys say, and where. */
export interface ViewDefaults {
  values: Partial<ViewValues>
  entries: Map<string, KeyPlace>
}

/** The keys of a view, or of the defaults. */
export function readViewKeys(
  file: YamlFile,
  {value, path, place}: Pick<Entry, 'value' | 'path' | 'place'>,
): ViewDefaults {
  const values: Partial<Record<keyof ViewValues, unknown>> = {}
  const entries = new Map<string, KeyPlace>()
  for (const entry of file.entries(value, path, place)) {
    const key = VIEW_KEYS.find((known) => known === entry.key)
    if (key === undefined) {
      refuseKey(file, entry, VIEW_KEYS)
      continue
    }
    entries.set(key, placeOf(entry))
    const read = key === 'set' ? readSettings(file, entry) : readEntry<unknown>(file, entry, PLAIN_KEYS[key])
    if (read !== undefined) values[key] = read
  }
  return {values: values as Partial<ViewValues>, entries}
}

/** The values of a view: its own before the defaults of the file. */
export const viewValues = (own: Partial<ViewValues>, defaults: Partial<ViewValues>): ViewValues => ({
  ...DEFAULTS,
  ...defaults,
  ...own,
})

function readSettings(file: YamlFile, entry: Entry): PostgresSettings {
  const settings: [string, string][] = []
  for (const each of file.entries(entry.value, entry.path, entry.place)) {
    const value = file.value(each)
    if (value === null) continue
    const setting = attempt(file, each, () => parseSetting(`${each.key}=${value.text}`, 'set'))
    if (setting) settings.push([setting.name, setting.value])
  }
  return sorted(settings)
}

const sorted = (settings: [string, string][]): PostgresSettings =>
  Object.fromEntries(settings.sort(([a], [b]) => (a < b ? -1 : 1)))

/** A registration as a file would describe it. Settings that ayb does not make are no part of that. */
export function registeredValues(registration: Registration): ViewValues {
  const {policy} = registration
  return {
    mode: requestedMode(registration, null),
    maxAge: policy?.maxAgeMs ?? null,
    skipUnchanged: policy?.skipUnchanged ?? false,
    refreshAtLeastEvery: policy?.refreshAtLeastEveryMs ?? null,
    set: sorted(
      Object.entries(policy?.settings ?? {}).filter(([name, value]) => isAllowedSetting({name, value})),
    ),
    refreshTimeout: policy?.refreshTimeoutMs ?? null,
    lockTimeout: policy?.lockTimeoutMs ?? null,
    lockRetryFor: policy?.lockRetryForMs ?? null,
  }
}

/** The policy that these values ask for, without what files do not describe. */
export const policyOfValues = ({mode, maxAge, set, ...limits}: ViewValues): Required<WrittenPolicy> => ({
  mode: mode === 'auto' ? mode : null,
  maxAgeMs: maxAge,
  skipUnchanged: limits.skipUnchanged,
  refreshAtLeastEveryMs: limits.refreshAtLeastEvery,
  settings: set,
  refreshTimeoutMs: limits.refreshTimeout,
  lockTimeoutMs: limits.lockTimeout,
  lockRetryForMs: limits.lockRetryFor,
})

type WrittenPolicy = Pick<
  PolicyChanges,
  | 'mode'
  | 'maxAgeMs'
  | 'skipUnchanged'
  | 'refreshAtLeastEveryMs'
  | 'refreshTimeoutMs'
  | 'lockTimeoutMs'
  | 'lockRetryForMs'
> & {settings: PostgresSettings}

/** The values of a view as a file has them, without those that say nothing. */
export function writtenView(values: ViewValues): Record<string, unknown> {
  const written = VIEW_KEYS.map((key) => [key, writtenValue(key, values)] as const)
  return Object.fromEntries(written.filter(([key, value]) => value !== null && value !== DEFAULTS[key]))
}

/** Why no file can describe a view with these values, which another program wrote; null where one can. */
export const whyUnwritable = (values: ViewValues): string | null =>
  whyUnreadable(writtenView(values), PLAIN_KEYS)

/** The value of a key as a file has it; null where it says nothing. */
export function writtenValue(key: keyof ViewValues, values: ViewValues): unknown {
  if (key === 'mode' || key === 'skipUnchanged') return values[key]
  if (key === 'set') return Object.keys(values.set).length === 0 ? null : values.set
  const ms = values[key]
  return ms === null ? null : writtenDuration(ms)
}

/** Where the value of a key stands: its own entry, or the name of the view. */
export const placeOfKey = (view: DeclaredView, key: keyof ViewValues): Place & {path: string} => {
  const {place, path} = view.entries.get(key) ?? view.entry
  return {...place, path}
}
