import type {Registration, ViewPolicy} from '../../../../lib/records/registrations.ts'
import {ApiError} from '../api.ts'
import {msOf, textOf} from '../parts/duration-field.tsx'

const LIMITS = [
  'maxAgeMs',
  'refreshAtLeastEveryMs',
  'refreshTimeoutMs',
  'lockTimeoutMs',
  'lockRetryForMs',
] as const

type Limit = (typeof LIMITS)[number]

/** What the form of the settings of a view holds, as it is typed; durations as text. */
export type PolicyForm = Record<Limit, string> & {
  skipUnchanged: boolean
  /** `work_mem=64MB` each line. */
  settings: string
}

export const policyFormOf = ({policy}: Registration): PolicyForm => ({
  ...(Object.fromEntries(LIMITS.map((limit) => [limit, textOf(policy?.[limit] ?? null)])) as Record<
    Limit,
    string
  >),
  skipUnchanged: policy?.skipUnchanged ?? false,
  settings: Object.entries(policy?.settings ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .join('\n'),
})

/** Settings by name. */
function settingsIn(text: string): Map<string, string> {
  const lines = text.split('\n').map((line) => line.trim())
  return new Map(
    lines
      .filter((line) => line !== '')
      .map((line) => {
        const [, name, value] = /^([^=]+)=(.*)$/.exec(line) ?? []
        if (name === undefined || value === undefined) {
          const hint = 'write the name, an equals sign and the value: work_mem=64MB'
          throw new ApiError(400, 'INVALID_ARGUMENT', `“${line}” is not a setting with a value`, hint)
        }
        return [name.trim().toLowerCase(), value.trim()]
      }),
  )
}

/**
 * What changes from one form to the other, as the API takes it; empty where nothing does.
 * @throws ApiError for a line that is no setting
 */
export function policyChanges(before: PolicyForm, after: PolicyForm): object {
  const limits = LIMITS.filter((limit) => before[limit] !== after[limit])
  const [old, wanted] = [settingsIn(before.settings), settingsIn(after.settings)]
  const settings = [
    ...[...old.keys()].filter((name) => !wanted.has(name)).map((name) => [name, null]),
    ...[...wanted].filter(([name, value]) => old.get(name) !== value),
  ]
  return {
    ...Object.fromEntries(limits.map((limit) => [limit, msOf(after[limit])])),
    ...(before.skipUnchanged === after.skipUnchanged ? {} : {skipUnchanged: after.skipUnchanged}),
    ...(settings.length === 0 ? {} : {settings: Object.fromEntries(settings)}),
  }
}

/** Whether anything but a max age was asked for. */
export const isSpecial = (policy: ViewPolicy | null): boolean =>
  policy !== null &&
  (policy.skipUnchanged ||
    Object.keys(policy.settings).length > 0 ||
    LIMITS.some((limit) => limit !== 'maxAgeMs' && policy[limit] !== null))
