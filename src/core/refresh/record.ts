import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import type {RefreshLock} from '../../db/locks/refresh-lock.ts'
import {returnUnseenJob} from '../../db/queue/settle.ts'
import {type Attempt, isRecorded} from '../../db/refresh/attempt.ts'
import {findCommitted, type RecordedRefresh} from '../../db/refresh/committed.ts'
import {type Failure, recordFailure} from '../../db/refresh/failure-record.ts'
import {findRowHolders, writeStatus} from '../../db/refresh/pending-status.ts'
import {isAybError} from '../../lib/errors.ts'
import {statusNotWritten} from '../../lib/failures/refreshes.ts'
import type {Warning} from '../../lib/unworded.ts'

/** For how long to retry a write, and what to do after a failed try. */
export interface Persistence {
  /** 0 for one try only. */
  patienceMs: number
  /** Ends the patience. */
  signal: AbortSignal
  /** Told of each failed try. */
  onFailure?(error: unknown): void
  /** Whether another try can work; always, unless given. */
  canGoOn?(): boolean
  /**
   * Whether one more try follows at once when the patience is over. Gets the elapsed milliseconds. Never,
   * unless given.
   */
  hasSpareTry?(elapsedMs: number): boolean
}

/** The time, as the retry loop takes it. */
export interface Clock {
  now(): number
  /** Resolves after that time, or when the signal aborts. */
  pause(ms: number, signal: AbortSignal): Promise<void>
}

const CLOCK: Clock = {
  now: () => performance.now(),
  pause: (ms, signal) => sleep(ms, undefined, {signal}).catch(() => {}),
}

/** Between two tries. */
const PAUSE_MS = 1000
/**
 * How long a worker retries writing the end of a job. Until the end is written, the job belongs to this
 * worker. After that, another worker rescues the job.
 */
export const JOB_PATIENCE_MS = 60_000
/**
 * Somebody may hold a lock on ayb's own tables. After this time the failure is reported, even if it is not
 * recorded.
 */
const RECORD_DEADLINE_MS = 15_000

/**
 * Writes how a refresh or a job ended, and tries again for a while: a full disk or a held lock may clear. An
 * error that is no AybError is a bug, and is not tried again.
 * @throws the error of the last try
 */
export async function persistently<T>(
  write: () => Promise<T>,
  {patienceMs, signal, onFailure, canGoOn = () => true, hasSpareTry = () => false}: Persistence,
  clock: Clock = CLOCK,
): Promise<T> {
  const startedAt = clock.now()
  for (;;) {
    try {
      return await write()
    } catch (error) {
      const elapsedMs = clock.now() - startedAt
      const isPatient = isAybError(error) && elapsedMs < patienceMs && !signal.aborted && canGoOn()
      if (!isPatient && hasSpareTry(elapsedMs)) continue
      onFailure?.(error)
      if (!isPatient) throw error
      await clock.pause(PAUSE_MS, signal)
    }
  }
}

/**
 * How a failed attempt ended in the database. `committed`: the refresh was committed, and only its answer was
 * lost. `unrecorded`: nothing could be written, as `onFailure` was told.
 */
export type RecordedEnd = (
  | {as: 'committed'; refresh: RecordedRefresh}
  | {as: 'failure'; isSettled: boolean; isCalledOff: boolean}
  | {as: 'unrecorded'}
) & {warnings: Warning[]}

/** Where to write when the session of an attempt is lost, and for how long to try. */
export interface RecordOptions extends Pick<Persistence, 'patienceMs' | 'signal' | 'onFailure'> {
  reconnect(): Promise<Database>
}

/** An attempt, the lock under which it was made, and how it failed. */
interface FailedAttempt {
  attempt: Attempt
  lock: RefreshLock
  failure: Failure
}

/**
 * Records how an attempt failed. Where the connection of the attempt is lost, a new one first makes sure that
 * the lost backend has ended, and looks whether it committed the refresh, or recorded the failure, before.
 */
export async function recordEnd(
  db: Database,
  {attempt, lock, failure}: FailedAttempt,
  {reconnect, ...persistence}: RecordOptions,
): Promise<RecordedEnd> {
  let current = db
  let hasReconnected = false
  const write = async (): Promise<RecordedEnd> => {
    if (!current.session.isUsable) {
      hasReconnected = true
      current = await reconnect()
    }
    if (current !== db) {
      const refresh = await findCommitted(current, db.session, attempt, lock)
      if (refresh) {
        await returnUnseenJob(current, attempt.runId)
        return {as: 'committed', refresh, warnings: []}
      }
      if (await isRecorded(current, attempt.runId)) {
        return {as: 'failure', isSettled: true, isCalledOff: false, warnings: []}
      }
    }
    const limited = current.within(RECORD_DEADLINE_MS)
    const {isSettled, jobState, isStatusPending} = await recordFailure(limited, attempt, failure)
    const isCalledOff = jobState !== null && jobState !== failure.transition.state
    const warning = isStatusPending ? await writePendingStatus(limited, attempt) : null
    return {as: 'failure', isSettled, isCalledOff, warnings: warning === null ? [] : [warning]}
  }
  // Only the connection failed under the record, so on a new connection the record may be fine.
  const hasSpareTry = (elapsedMs: number) =>
    !hasReconnected && !current.session.isUsable && elapsedMs < RECORD_DEADLINE_MS
  try {
    const end = await persistently(write, {...persistence, hasSpareTry})
    return {...end, warnings: [...(current === db ? [] : newWarnings(current)), ...end.warnings]}
  } catch {
    return {as: 'unrecorded', warnings: []}
  } finally {
    if (current !== db) await current.close()
  }
}

/** What a new session was warned of, without what the first session to the same database has told already. */
const newWarnings = (db: Database): Warning[] =>
  db.takeWarnings().filter((warning) => typeof warning !== 'string' || !db.session.warnings.includes(warning))

/**
 * Writes the status of a registration whose row another session held when the attempt was recorded. Returns a
 * warning where the row stays held: the history has the run all the same.
 */
export async function writePendingStatus(
  db: Database,
  {registration, runId}: Attempt,
): Promise<string | null> {
  try {
    if (await writeStatus(db, runId)) return null
    return statusNotWritten(registration, await findRowHolders(db))
  } catch (error) {
    if (!isAybError(error)) throw error
    return statusNotWritten(registration, [])
  }
}
