import type {PolicyChanges} from '../../../lib/policies.ts'
import {parseSetting, parseSettingName, type SettingChanges} from '../../../lib/postgres-settings.ts'

/** What a body says of the refreshes of a view. */
export interface PolicyBody extends Omit<PolicyChanges, 'mode' | 'settings'> {
  settings?: Record<string, string | null>
}

const WHERE = 'settings in the body'

/**
 * The settings of Postgres that a body asks for, by their names in lower case; null takes one away.
 * @throws AybError INVALID_ARGUMENT for a setting that a refresh cannot set
 */
export const settingsOf = (settings: Record<string, string | null>): SettingChanges =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      if (value === null) return [parseSettingName(name, WHERE), null]
      parseSettingName(name, WHERE)
      const setting = parseSetting(`${name}=${value}`, WHERE)
      return [setting.name, setting.value]
    }),
  )

/**
 * The changes of a policy that a body asks for.
 * @throws AybError INVALID_ARGUMENT for a setting that a refresh cannot set
 */
export function policyChangesOf(body: PolicyBody = {}): PolicyChanges {
  const {settings, ...others} = body
  if (settings === undefined || Object.keys(settings).length === 0) return others
  return {...others, settings: settingsOf(settings)}
}
