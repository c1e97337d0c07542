import type {Database} from '../../db/database.ts'
import type {RefreshLock} from '../../db/locks/refresh-lock.ts'
import type {Attempt} from '../../db/refresh/attempt.ts'
import {usableSettings} from '../../db/refresh/postgres-settings.ts'
import {runRefresh} from '../../db/refresh/refresh.ts'
import {findRegistration} from '../../db/registrations.ts'
import {settingLeftOut} from '../../lib/failures/settings.ts'
import {nextTry, watchFromSecondSession} from './blockers.ts'
import type {RefreshCaller} from './caller.ts'
import {cancelOnAbort} from './cancel.ts'
import {endingCommitWait} from './commit-watch.ts'
import {deadConnectionLook} from './dead-connection.ts'
import {decide} from './decide.ts'
import {explainAndRecord, type Trial} from './failed-attempt.ts'
import {listen} from './listener.ts'
import {chooseMode, noteModeBehind, requestedMode} from './mode.ts'
import {progressLook} from './progress-look.ts'
import {writePendingStatus} from './record.ts'
import type {RefreshRequest} from './request.ts'
import type {RefreshResult} from './result.ts'
import {SecondSession} from './second-session.ts'
import {lockPolicy, NO_TRIES, type PastTries} from './tries.ts'

/** The earlier tries and attempts of a refresh. */
export interface Behind {
  /** Tries that waited in vain for the lock of the view. */
  past: PastTries
  /** Attempts that found their snapshot outdated. */
  outdatedTries: number
}

export const NOTHING_BEHIND: Behind = {past: NO_TRIES, outdatedTries: 0}

/** The circumstances of an attempt. */
interface Circumstances {
  /** Of the view, held by the session of the attempt. */
  lock: RefreshLock
  behind: Behind
  caller: RefreshCaller
}

/**
 * Refreshes the view of a request on a session that holds the lock of that view, and records how that ended.
 * Releases the lock. The steps, in this order:
 *
 * 1. plan: in which mode to refresh, and how long this try may wait for the lock of the view
 * 2. look: where changes count, whether anything has changed since the last refresh; if not, nothing follows
 * 3. statement: REFRESH and its record, one message in one transaction, which also ends the lock
 * 4. result: where the statement failed, why, and the record of that
 */
export async function attemptRefresh(
  db: Database,
  request: RefreshRequest,
  circumstances: Circumstances,
): Promise<RefreshResult> {
  const second = new SecondSession(db)
  if (circumstances.caller.watchLocks === null) {
    const awaited = {session: db.session, view: request.registration, lock: circumstances.lock}
    second.add(deadConnectionLook(awaited))
  }
  try {
    return await attemptWatched(db, request, circumstances, second)
  } finally {
    await second.stop()
  }
}

async function attemptWatched(
  db: Database,
  request: RefreshRequest,
  {lock, behind, caller}: Circumstances,
  second: SecondSession,
): Promise<RefreshResult> {
  const {past, outdatedTries} = behind
  const listener = listen(caller.onEvent)
  const {emit} = listener
  emit({type: 'refreshing'})
  const {registration, settings, job, runId} = request
  const requested = requestedMode(registration, request.mode)
  const {mode, fallback, modeBehind} = await chooseMode(db, registration, requested)
  if (fallback !== null) {
    emit({type: 'fallback', message: fallback.message, isNews: registration.refreshMode !== mode})
  }
  const {usable, refused} = usableSettings(db.session, settings.postgres)
  const decision = await decide(db, registration, request, usable)
  if ('undueMs' in decision) return {status: 'undue', dueInMs: decision.undueMs}
  if (decision.isUnchanged) return {status: 'unchanged', look: decision.look, since: decision.since}
  const lockTry = await nextTry(db, registration, lockPolicy(settings, mode), past)
  const attempt: Attempt = {
    runId,
    registration,
    mode,
    reason: fallback?.reason ?? null,
    seen: decision.seen,
    job,
    settings: {...settings, lockTimeoutMs: lockTry.limitMs, postgres: usable},
    lockWaitMs: past.waitMs,
    startedAt: lock.startedAt,
  }
  const sentAt = performance.now()
  const watchLocks = caller.watchLocks ?? watchFromSecondSession(second)
  const watch = watchLocks({
    session: db.session,
    pid: lock.pid,
    view: registration,
    limitMs: lockTry.limitMs,
    onWait: (wait) => {
      const waitedMs = past.elapsedMs + performance.now() - sentAt
      emit(wait ? {type: 'blocked', blockers: wait.blockers, waitedMs} : {type: 'refreshing'})
    },
    lookFurther: caller.followsProgress
      ? progressLook(db, {pid: lock.pid, view: registration}, emit)
      : undefined,
  })
  const isAuto = requested === 'auto'
  const trial: Trial = {
    db,
    attempt,
    isAuto,
    modeBehind,
    lock,
    lockTry,
    outdatedTries,
    second,
    watch,
    caller,
    emit,
    checked: decision.checked,
  }
  try {
    const result = await refreshNow(trial).catch((error) =>
      explainAndRecord(trial, error, performance.now() - sentAt),
    )
    // Of a refresh that is tried again, the last attempt tells.
    if (result.status === 'success' || result.status === 'failed') {
      for (const setting of refused) {
        emit({type: 'warning', message: settingLeftOut(registration, setting, setting.error)})
      }
    }
    return result
  } finally {
    await watch.stop()
    // The session may be idle for long while the listener works: that is no dead connection.
    await second.stop()
    for (const message of await listener.settled()) emit({type: 'warning', message})
  }
}

async function refreshNow(trial: Trial): Promise<RefreshResult> {
  const {db, attempt, modeBehind, lock, second, caller, emit, checked} = trial
  const {session} = db
  const claim = session.keepsStatements ? (caller.claimNext?.() ?? null) : null
  const limited = {session, pid: lock.pid, timeoutMs: attempt.settings.timeoutMs}
  const done = await endingCommitWait(second, limited, () =>
    cancelOnAbort(session, caller.signal, () => runRefresh(db, attempt, lock, claim)),
  )
  const noted = await noteModeBehind(db, attempt.registration, modeBehind)
  const lockWaitMs = Math.round(attempt.lockWaitMs)
  if (!done.isStatusPending) {
    // Somebody may have changed the mode during the refresh.
    const registration = done.registration && {
      ...done.registration,
      refreshMode: noted ?? done.registration.refreshMode,
    }
    return {status: 'success', ...done, registration, lockWaitMs, checked}
  }
  const warning = await writePendingStatus(db, attempt)
  if (warning !== null) emit({type: 'warning', message: warning})
  const registration = attempt.job ? null : await findRegistration(db, {id: attempt.registration.id})
  return {status: 'success', ...done, lockWaitMs, registration, checked}
}
