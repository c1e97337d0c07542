import type {SettingChanges} from './postgres-settings.ts'
import type {ViewPolicy} from './records/registrations.ts'

/** Changes of the policy of a view; a part that is left out stays. */
export type PolicyChanges = Partial<Omit<ViewPolicy, 'settings'>> & {settings?: SettingChanges}

/** Whether anything is to be changed. */
export const isChange = (changes: PolicyChanges): boolean => Object.keys(changes).length > 0

/** Whether the changes would leave the policy as it is. */
export function isSatisfied(policy: ViewPolicy | null, {settings = {}, ...others}: PolicyChanges): boolean {
  const hasSettings = Object.entries(settings).every(
    ([name, value]) => (policy?.settings[name] ?? null) === value,
  )
  // What nobody asked for is null or false.
  const wishOf = (value: unknown) => (value === false ? null : (value ?? null))
  const parts = Object.entries(others) as [keyof typeof others, unknown][]
  return hasSettings && parts.every(([key, value]) => wishOf(policy?.[key]) === wishOf(value))
}
