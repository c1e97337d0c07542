import type {Look} from '../../db/fingerprint/look.ts'
import type {LockWait} from '../../db/locks/lock-waits.ts'
import type {LockedJob} from '../../db/queue/claims.ts'
import type {JobTransition} from '../../db/queue/fence.ts'
import type {StoredRegistration} from '../../db/registrations.ts'
import type {Instant} from '../../lib/records/values.ts'
import type {RunTimes} from '../../lib/refresh-events.ts'
import type {Checked} from './decide.ts'
import type {PastTries} from './tries.ts'

/** How an attempt at a refresh ended. */
export type RefreshResult =
  | SuccessfulRefresh
  | FailedRefresh
  | OutdatedRefresh
  | BlockedRefresh
  | UnchangedView
  | UndueView

interface SuccessfulRefresh extends RunTimes {
  status: 'success'
  /** As it is after the refresh; null where it was unregistered meanwhile, and for a job. */
  registration: StoredRegistration | null
  /** False where the job was no longer ours: then nothing was recorded. */
  isSettled: boolean
  /** The job that was claimed in the same transaction. */
  next: LockedJob | null
  /** What a look for changes said; null where nobody asked for that. */
  checked: Checked | null
}

interface FailedRefresh extends RunTimes {
  status: 'failed'
  /** An AybError; anything else is a bug. */
  reason: unknown
  transition: JobTransition
  /** False where the job was no longer ours: then nothing was recorded. */
  isSettled: boolean
  /** Whether the job was ended instead of queued: its schedule was disabled or deleted meanwhile. */
  isCalledOff: boolean
  /** False where nothing could be written, as the listener was told. */
  isRecorded: boolean
}

/**
 * The tables below the view were replaced while REFRESH waited for a lock, the table of states is closed to
 * the role now, or the server refused a setting: nothing was done or recorded. Try again.
 */
interface OutdatedRefresh {
  status: 'outdated'
}

/** Nothing that the view reads has changed since its last refresh: nothing was done or recorded. */
export interface UnchangedView {
  status: 'unchanged'
  look: Look
  /** Since when nothing has changed. */
  since: Instant
}

/**
 * Ayb cannot tell whether anything has changed, and the job of a schedule with a promise came before the data
 * is too old: nothing was done or recorded.
 */
export interface UndueView {
  status: 'undue'
  /** When the refresh is due. */
  dueInMs: number
}

/**
 * The lock of the view could not be had, and there is patience left: nothing was done or recorded. Try again
 * later.
 */
export interface BlockedRefresh {
  status: 'blocked'
  wait: LockWait
  /** How long to let others pass before the next try. */
  pauseMs: number
  /** The tries so far, with this one. */
  past: PastTries
  /** Records that there will be no other try, and why. */
  giveUp(reason: unknown): Promise<RefreshResult>
}
