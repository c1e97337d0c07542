import type {JobFence} from '../../db/queue/fence.ts'
import {newRunId} from '../../db/refresh/refresh.ts'
import type {RefreshMode, RefreshTarget} from '../../lib/records.ts'
import type {LockSettings} from './tries.ts'

/**
 * How a refresh is done. The settings travel as one object from whoever asks to the statement: a command, the
 * API or a worker. Durations in milliseconds; null where nobody said anything.
 */
export interface RefreshSettings extends LockSettings {
  /** Limit of one try; without one, a try takes as long as it takes. */
  timeoutMs: number | null
}

/** One refresh from its first try to its end: all tries together are one run in the history. */
export interface RefreshRequest<Target extends RefreshTarget = RefreshTarget> {
  /** Id of the run. It is known before the run is recorded, so that a lost answer can be looked up. */
  runId: string
  registration: Target
  /** For this once; null for the mode of the registration. */
  mode: RefreshMode | null
  settings: RefreshSettings
  /** Null for a refresh by hand. */
  job: JobFence | null
}

/** The settings with null for whatever nobody gave. */
export const refreshSettings = (
  given: {
    [Name in keyof RefreshSettings]?: RefreshSettings[Name] | undefined
  } = {},
): RefreshSettings => ({
  timeoutMs: given.timeoutMs ?? null,
  lockTimeoutMs: given.lockTimeoutMs ?? null,
  lockRetryForMs: given.lockRetryForMs ?? null,
})

/** A request to refresh the view of that registration. */
export const refreshRequest = <Target extends RefreshTarget>(
  registration: Target,
  settings: RefreshSettings,
  {mode = null, job = null}: Partial<Pick<RefreshRequest, 'mode' | 'job'>> = {},
): RefreshRequest<Target> => ({runId: newRunId(), registration, mode, settings, job})
