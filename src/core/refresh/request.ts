import type {RefreshJob} from '../../db/queue/fence.ts'
import {newRunId} from '../../db/refresh/attempt.ts'
import {changeSettings, type PostgresSettings, type SettingChanges} from '../../lib/postgres-settings.ts'
import type {PromiseFacts} from '../../lib/promise.ts'
import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {RequestedMode} from '../../lib/records/values.ts'
import type {ChangeHandling} from './decide.ts'
import type {LockSettings} from './tries.ts'

/** Limits of a refresh in milliseconds; null where nobody said anything. */
interface Limits extends LockSettings {
  /** Limit of one try; without one, a try takes as long as it takes. */
  timeoutMs: number | null
}

/**
 * What one party (a command, the registration of the view, a worker) wants for a refresh. The settings travel
 * as one object from whoever asks to the statement.
 */
export interface WantedSettings extends Limits {
  postgres: SettingChanges
}

/** How a refresh is done. */
export interface RefreshSettings extends Limits {
  /** In force for REFRESH alone. */
  postgres: PostgresSettings
}

/** One refresh from its first try to its end: all tries together are one run in the history. */
export interface RefreshRequest<Target extends RefreshTarget = RefreshTarget> {
  /** Id of the run. It is known before the run is recorded, so that a lost answer can be looked up. */
  runId: string
  registration: Target
  /** For this once; null for the mode that the policy or the registration of the view says. */
  mode: RequestedMode | null
  settings: RefreshSettings
  changes: ChangeHandling
  /** Of the schedule that made the job; null where that promises nothing, or changes do not count. */
  promise: PromiseFacts | null
  /** Null for a refresh by hand. */
  job: RefreshJob | null
}

/** What one party wants; null where the party leaves the choice to others. */
export const wantedSettings = (
  given: {[Name in keyof WantedSettings]?: WantedSettings[Name] | undefined} = {},
): WantedSettings => ({
  timeoutMs: given.timeoutMs ?? null,
  lockTimeoutMs: given.lockTimeoutMs ?? null,
  lockRetryForMs: given.lockRetryForMs ?? null,
  postgres: given.postgres ?? {},
})

/**
 * What several parties say together, the strongest first. A party that gives a lock timeout decides alone
 * about the wait for locks: a lock timeout without a retry time gives up after one try, even if a weaker
 * party gives a retry time.
 */
export function mergeSettings(parties: readonly WantedSettings[]): RefreshSettings {
  const withTimeout = parties.findIndex(({lockTimeoutMs}) => lockTimeoutMs !== null)
  const ofLocks = withTimeout < 0 ? parties : parties.slice(0, withTimeout + 1)
  const firstOf = (values: readonly (number | null)[]) => values.find((value) => value !== null) ?? null
  return {
    timeoutMs: firstOf(parties.map(({timeoutMs}) => timeoutMs)),
    lockTimeoutMs: firstOf(ofLocks.map(({lockTimeoutMs}) => lockTimeoutMs)),
    lockRetryForMs: firstOf(ofLocks.map(({lockRetryForMs}) => lockRetryForMs)),
    postgres: parties.reduceRight<PostgresSettings>(
      (settings, {postgres}) => changeSettings(settings, postgres),
      {},
    ),
  }
}

/** Who says how to refresh, beside the registration of the view. */
interface Parties {
  /** Somebody who asks for this one refresh, and overrules the registration. */
  asked?: WantedSettings
  /** A worker, which says how it refreshes views whose registration says nothing. */
  usual?: WantedSettings
}

/** Timeouts of Postgres are 32-bit milliseconds. */
const LONGEST_MS = 2_147_483_647

/** What a registration says. Another program may have written limits that Postgres does not take. */
function ownSettings({policy}: Pick<RefreshTarget, 'policy'>): WantedSettings {
  const atLeast = (leastMs: number, ms: number | null | undefined) =>
    ms == null || ms < leastMs ? null : Math.min(ms, LONGEST_MS)
  return wantedSettings({
    timeoutMs: atLeast(1, policy?.refreshTimeoutMs),
    lockTimeoutMs: atLeast(0, policy?.lockTimeoutMs),
    lockRetryForMs: atLeast(0, policy?.lockRetryForMs),
    postgres: policy?.settings,
  })
}

/** A request to refresh the view of that registration. */
export const refreshRequest = <Target extends RefreshTarget>(
  registration: Target,
  {asked = wantedSettings(), usual = wantedSettings()}: Parties,
  {
    mode = null,
    job = null,
    changes = 'ignore',
    promise = null,
  }: Partial<Pick<RefreshRequest, 'mode' | 'job' | 'changes' | 'promise'>> = {},
): RefreshRequest<Target> => ({
  runId: newRunId(),
  registration,
  mode,
  settings: mergeSettings([asked, ownSettings(registration), usual]),
  changes,
  promise,
  job,
})
