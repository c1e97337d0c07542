import {formatDuration} from '../lib/duration.ts'
import type {PostgresSettings} from '../lib/postgres-settings.ts'
import {printable} from '../lib/printable.ts'
import type {Registration, ViewPolicy} from '../lib/records/registrations.ts'
import type {Field} from './details.ts'
import {modePhrase} from './mode.ts'

/** `jit=off, work_mem=64MB`; null where there are none. */
export function describeSettings(settings: PostgresSettings | null | undefined): string | null {
  const texts = Object.entries(settings ?? {}).map(([name, value]) => `${name}=${value}`)
  return texts.length === 0 ? null : texts.join(', ')
}

/** What a policy says of settings and limits, for the details of a registration. */
export const policyFields = (policy: ViewPolicy | null): Field[] => [
  {label: 'Settings', value: describeSettings(policy?.settings)},
  limitField('Refresh timeout', policy?.refreshTimeoutMs),
  limitField('Lock timeout', policy?.lockTimeoutMs, '0 (waits without limit)'),
  limitField('Lock retry for', policy?.lockRetryForMs, '0 (tries once)'),
  limitField('Max age', policy?.maxAgeMs),
  {label: 'Skipped while', value: policy?.skipUnchanged ? 'unchanged' : null},
  limitField('Refreshed at least every', policy?.refreshAtLeastEveryMs),
]

const limitField = (label: string, ms: number | null | undefined, zero = '0'): Field => ({
  label,
  value: ms ?? null,
  ...(ms == null ? {} : {display: ms === 0 ? zero : formatDuration(ms)}),
})

/** How a view is refreshed, for a sentence: `standard mode, settings work_mem=64MB, refresh timeout 10 m`. */
export const describeRefresh = (registration: Pick<Registration, 'refreshMode' | 'policy'>): string =>
  printable([modePhrase(registration), ...wishesOf(registration.policy)].join(', '))

/** What a policy says beside the mode, as describeRefresh has it; null where it says nothing. */
export function describePolicy(policy: ViewPolicy | null): string | null {
  const wishes = wishesOf(policy)
  return wishes.length === 0 ? null : wishes.join(', ')
}

const wishesOf = (policy: ViewPolicy | null): string[] =>
  policyFields(policy).flatMap(({label, value, display}) =>
    value === null ? [] : [`${label.toLowerCase()} ${display ?? value}`],
  )
