import type {Database} from '../../db/database.ts'
import type {ClaimRequest} from '../../db/queue/claims.ts'
import type {JobTransition} from '../../db/queue/fence.ts'
import type {OnRefreshEvent} from '../../lib/refresh-events.ts'
import type {WatchLocks} from './blockers.ts'

/** What an attempt needs from whoever asks for the refresh: a person, a client of the API, a worker. */
export interface RefreshCaller {
  /** Aborted with the error to end with: the server cancels the statement. */
  signal: AbortSignal
  onEvent: OnRefreshEvent
  /** Whether somebody follows the progress: how long a refresh usually takes, and what it does. */
  followsProgress?: boolean
  /**
   * Of a caller that watches all its refreshes from one session, for locks and for dead connections; null
   * where each refresh is watched from a second session of its own.
   */
  watchLocks: WatchLocks | null
  /** The same database on a new session, after the connection was lost. */
  reconnect(): Promise<Database>
  /** For how long recording a failure is tried again, in milliseconds. */
  recordPatienceMs: number
  /** What becomes of the job when the attempt fails for that reason. */
  transitionAfter(reason: unknown): JobTransition
  /** What to claim behind a success, in its transaction; null for nothing. */
  claimNext?(): ClaimRequest | null
}
