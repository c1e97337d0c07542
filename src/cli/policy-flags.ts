import * as Flags from '@oclif/core/flags'
import type {PolicyChanges} from '../lib/policies.ts'
import {type Setting, settingChanges} from '../lib/postgres-settings.ts'
import {ageLimitFlag, limitFlag, lockLimitFlag, settingFlag} from './flags.ts'

/** The flags of register and update that say how the view is refreshed from now on. */
export const policyFlags = {
  set: settingFlag({
    multiple: true,
    summary: 'A setting of Postgres for each refresh of the view, such as work_mem=256MB. Can be repeated.',
  }),
  'max-age': ageLimitFlag({
    summary:
      'How old the data of the view may become before `matviews status` calls it stale; none: no limit.',
  }),
  'skip-unchanged': Flags.boolean({
    allowNo: true,
    summary:
      'Whether sets and the worker skip the view while nothing that it reads has changed. Needs PostgreSQL 15.',
  }),
  'refresh-at-least-every': ageLimitFlag({
    summary: 'Refresh the view after this long in any case; none: after 24 hours.',
  }),
  'refresh-timeout': limitFlag({
    summary: 'Cancel a refresh of the view that takes longer than this; none: as for other views.',
  }),
  'lock-timeout': lockLimitFlag({
    summary:
      'Give up if a lock is not free within this time; 0 waits without limit; none: as for other views.',
  }),
  'lock-retry-for': lockLimitFlag({
    summary: 'How long to keep trying to lock the view; 0 tries once; none: as for other views.',
  }),
}

/** The values of these flags, and of those that only update has. */
interface PolicyFlags {
  set?: Setting[] | undefined
  unset?: string[] | undefined
  'max-age'?: number | 'none' | undefined
  'skip-unchanged'?: boolean | undefined
  'refresh-at-least-every'?: number | 'none' | undefined
  'refresh-timeout'?: number | 'none' | undefined
  'lock-timeout'?: number | 'none' | undefined
  'lock-retry-for'?: number | 'none' | undefined
}

/** The requested changes of the policy of a view; empty where there are none. */
export function policyChanges(flags: PolicyFlags): PolicyChanges {
  const {set = [], unset = []} = flags
  const limits = {
    maxAgeMs: flags['max-age'],
    refreshAtLeastEveryMs: flags['refresh-at-least-every'],
    refreshTimeoutMs: flags['refresh-timeout'],
    lockTimeoutMs: flags['lock-timeout'],
    lockRetryForMs: flags['lock-retry-for'],
  }
  const given = Object.entries(limits).filter(([, limit]) => limit !== undefined)
  return {
    ...Object.fromEntries(given.map(([key, limit]) => [key, limit === 'none' ? null : limit])),
    ...(flags['skip-unchanged'] === undefined ? {} : {skipUnchanged: flags['skip-unchanged']}),
    ...(set.length + unset.length > 0 ? {settings: settingChanges(set, unset)} : {}),
  }
}
