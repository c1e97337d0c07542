import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {findLockHolder} from '../../db/locks/blockers.ts'
import {queueForRefreshLock, type RefreshLock, withRefreshLock} from '../../db/locks/refresh-lock.ts'
import type {Attempt} from '../../db/queue/settle.ts'
import {newRunId} from '../../db/refresh.ts'
import {findRegistration} from '../../db/registrations.ts'
import type {Session} from '../../db/session.ts'
import {withDeadline} from '../../lib/abort.ts'
import {AybError} from '../../lib/errors.ts'
import {qualifiedName, type ViewReference} from '../../lib/identifier.ts'
import {notRegistered, refreshInProgress, waitTimeout} from '../../lib/outcomes.ts'
import type {Refreshed, RefreshMode, RefreshProgress, Registration, ViewName} from '../../lib/records.ts'
import {timerMs} from '../../lib/timer.ts'
import {requireRegistration} from '../matviews.ts'
import {type BlockedAttempt, cancelOnAbort, runAttempt} from './attempt.ts'
import {nextTry, watchFromSecondSession} from './blockers.ts'
import {watchingForSilence} from './dead-connection.ts'
import {type LockSettings, lockPolicy, NO_TRIES, type PastTries} from './tries.ts'

/** How a refresh is to be done. Durations in milliseconds; null means no limit. */
export interface RefreshOptions extends LockSettings {
  /** For this once; null means the registration's own. */
  mode: RefreshMode | null
  /** Whether to wait while another session refreshes the view, and for how long. */
  wait: {timeoutMs: number | null} | null
  /** Of one try. */
  timeoutMs: number | null
  /** Aborted with the AybError to end with: the statement is cancelled on the server. */
  signal: AbortSignal
  /** Told of what happens, for whoever watches. */
  onProgress?(progress: RefreshProgress): void
}

const RECONNECTED_DEADLINE_MS = 30_000
/** All but the refresh itself, which has a deadline of its own or none, is short: no answer by then is a dead network. */
const ANSWER_DEADLINE_MS = 15_000
/** Who stands in line for a lock keeps vacuum from removing rows, so for no longer than this at a time. */
const LONGEST_WAIT_MS = 1000

/**
 * Refreshes one registered view: lock, statement, record.
 * @throws AybError NOT_REGISTERED, REFRESH_IN_PROGRESS, TIMEOUT, CANCELED, REFRESH_FAILED and what explainFailure finds
 */
export async function refresh(
  db: Database,
  reference: ViewReference,
  options: RefreshOptions,
): Promise<Refreshed> {
  const {signal, wait} = options
  const registration = await prepare(db, reference, signal)
  db.session.deadlineMs = ANSWER_DEADLINE_MS
  const started: Started = {runId: newRunId(), outdatedTries: 0, past: NO_TRIES}
  let deadline: number | null = null
  let hasWaited = false
  for (let queued: RefreshLock | null | undefined; ; ) {
    const work = async (lock: RefreshLock) => {
      signal.throwIfAborted()
      const current = hasWaited ? await readAgain(db, registration, signal) : registration
      return refreshLocked(db, current, lock, options, started)
    }
    const refreshed = await withRefreshLock(db.session, registration, work, queued)
    if (refreshed === 'outdated') {
      started.outdatedTries++
      hasWaited = true
      queued = undefined
      continue
    }
    if (refreshed && 'pauseMs' in refreshed) {
      started.past = await pauseBetweenTries(refreshed, signal)
      hasWaited = true
      queued = undefined
      deadline = null
      continue
    }
    if (refreshed) return refreshed
    signal.throwIfAborted()
    // Between two tries somebody else may refresh the view, too: each wait for that has the whole time.
    deadline ??= wait?.timeoutMs == null ? Number.POSITIVE_INFINITY : performance.now() + wait.timeoutMs
    const leftMs = deadline - performance.now()
    if (!wait || leftMs <= 0) throw await stillLocked(db, registration, wait?.timeoutMs ?? null)
    hasWaited = true
    options.onProgress?.({phase: 'waiting', registration})
    queued = await queueForLock(db, registration, Math.min(LONGEST_WAIT_MS, leftMs), signal)
  }
}

/** What a refresh has behind it: all its tries are one run. */
interface Started {
  runId: string
  /** How often it found its snapshot outdated. */
  outdatedTries: number
  past: PastTries
}

/** Lets others pass. An abort ends the run. */
async function pauseBetweenTries(
  {pauseMs, past, giveUp}: BlockedAttempt,
  signal: AbortSignal,
): Promise<PastTries> {
  const startedAt = performance.now()
  try {
    await pause(pauseMs, signal)
  } catch (reason) {
    const outcome = await giveUp(reason)
    throw outcome.status === 'failed' ? outcome.reason : reason
  }
  return {...past, elapsedMs: past.elapsedMs + performance.now() - startedAt}
}

async function refreshLocked(
  db: Database,
  registration: Registration,
  lock: RefreshLock,
  options: RefreshOptions,
  {runId, outdatedTries, past}: Started,
): Promise<Refreshed | 'outdated' | BlockedAttempt> {
  const mode = options.mode ?? registration.refreshMode
  const lockTry = await nextTry(db, registration, lockPolicy(options, mode), past)
  const attempt: Attempt = {
    runId,
    registration,
    mode,
    job: null,
    timeoutMs: options.timeoutMs,
    lockTimeoutMs: lockTry.limitMs,
    lockWaitMs: past.waitMs,
    startedAt: lock.startedAt,
  }
  options.onProgress?.({phase: 'refreshing', registration})
  const startedAt = performance.now()
  const outcome = await watchingForSilence(db, registration, lock, () =>
    runAttempt(db, attempt, lock, {
      signal: options.signal,
      jobEndAfter: () => ({state: 'failed'}),
      reconnect: () => reconnect(db),
      onUnrecorded: (message) => db.warnings.push(message),
      recordPatienceMs: 0,
      lockTry,
      watchLocks: watchFromSecondSession(db),
      onWait(wait) {
        const waitedMs = past.elapsedMs + performance.now() - startedAt
        options.onProgress?.(
          wait
            ? {phase: 'blocked', registration, blockers: wait.blockers, waitedMs}
            : {phase: 'refreshing', registration},
        )
      },
      outdatedTries,
    }),
  )
  if (outcome.status === 'failed') throw outcome.reason
  if (outcome.status === 'outdated') return 'outdated'
  if (outcome.status === 'blocked') return outcome
  const {registration: after, durationMs} = outcome
  const warnings = [...db.warnings]
  if (!after) warnings.push(`${qualifiedName(registration)} was unregistered during its refresh`)
  return {registration: after ?? registration, durationMs, warnings, lockWaitMs: Math.round(past.waitMs)}
}

/** The network that lost the first session may fail the second one, too: whatever PGCONNECT_TIMEOUT says. */
function reconnect(db: Database): Promise<Session> {
  const expired = (limitMs: number) =>
    new AybError('CONNECTION_FAILED', `no connection within ${limitMs / 1000} s`)
  return withDeadline(RECONNECTED_DEADLINE_MS, expired, undefined, async (signal) => {
    const session = await db.openSession(signal)
    session.deadlineMs = RECONNECTED_DEADLINE_MS
    return session
  })
}

/** Looks the view up and sees to the tables. Both can wait for a lock, and an abort ends that too. */
async function prepare(db: Database, reference: ViewReference, signal: AbortSignal): Promise<Registration> {
  return endingWith(signal, () =>
    cancelOnAbort(db.session, signal, async () => {
      const registration = await requireRegistration(db, reference)
      await db.prepareTables()
      return registration
    }),
  )
}

/** What fails after an abort fails for that reason. */
async function endingWith<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
}

/** What was read before a wait may have changed: another mode, or no registration any more. */
async function readAgain(db: Database, before: Registration, signal: AbortSignal): Promise<Registration> {
  const read = () => findRegistration(db, {id: before.id})
  const now = await endingWith(signal, () => cancelOnAbort(db.session, signal, read))
  if (!now) throw notRegistered(before, null)
  return now
}

async function stillLocked(db: Database, view: ViewName, waitedMs: number | null) {
  const holder = await findLockHolder(db.session, view)
  return waitedMs === null ? refreshInProgress(view, holder) : waitTimeout(view, waitedMs, holder)
}

const queueForLock = (db: Database, view: ViewName, patienceMs: number, signal: AbortSignal) =>
  endingWith(signal, () =>
    cancelOnAbort(db.session, signal, () => queueForRefreshLock(db.session, view, patienceMs)),
  )

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(timerMs(ms), undefined, {signal})
  } catch {
    signal.throwIfAborted()
  }
}
