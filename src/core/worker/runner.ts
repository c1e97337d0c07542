import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../../db/database.ts'
import {findLockHolder} from '../../db/locks/blockers.ts'
import {type RefreshLock, withRefreshLock} from '../../db/locks/refresh-lock.ts'
import type {ClaimedJob, ClaimRequest, LockedJob} from '../../db/queue/claims.ts'
import {forgetTries, putBackAfterTry} from '../../db/queue/lock-tries.ts'
import {type Attempt, endJob, type JobEnd, putBack} from '../../db/queue/settle.ts'
import {newRunId} from '../../db/refresh.ts'
import {findRegistration, insertRegistration} from '../../db/registrations.ts'
import type {Session} from '../../db/session.ts'
import {rememberView} from '../../db/view-states.ts'
import {invalidArgument, isAybError, messageOf} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {describeBlocker, describeWait} from '../../lib/outcomes.ts'
import {shownPayload, viewOfPayload} from '../../lib/payload.ts'
import type {RefreshTarget, ViewName} from '../../lib/records.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {requireView} from '../catalog.ts'
import {type BlockedAttempt, type FailedAttempt, runAttempt} from '../refresh/attempt.ts'
import {nextTry, type WatchLocks} from '../refresh/blockers.ts'
import {type LockSettings, lockPolicy} from '../refresh/tries.ts'
import type {LockHolders} from './lock-holders.ts'
import type {LockPatience} from './lock-patience.ts'
import {jobEndAfter} from './retry.ts'

/** How the worker refreshes. Durations in milliseconds; null means no limit. */
interface RunnerOptions extends LockSettings {
  /** Of one try. */
  timeoutMs: number | null
}

/** What the runner needs from the worker around it. */
export interface RunnerContext extends RunnerOptions {
  emit: Emit
  /** Knows the tables; its session may be gone. */
  template: Database
  /** Whom the worker has told of. */
  holders: LockHolders
  /** The tries of the jobs that it put back. */
  patience: LockPatience
  watchLocks: WatchLocks
  /** Aborted when the worker does not wait any longer for what runs. */
  signal: AbortSignal
  /** The control session as it is; null while there is none. */
  control(): Database | null
  /** What to claim behind a refresh, for the slot that it leaves; null where nothing is to be claimed. */
  claimNext(): ClaimRequest | null
  /** A new session when one was lost in mid-refresh; tries until the worker ends. */
  reconnect(): Promise<Session>
}

/** What the runner needs to know of one job. */
interface JobContext extends RunnerContext {
  /** Called with the lock that the refresh of the job holds from now on. */
  onLocked(lock: RefreshLock): void
}

export type JobResult = 'succeeded' | 'failed' | 'retried' | 'skipped' | 'interrupted' | 'lost' | 'unrecorded'

/** What became of a job, and the one that was claimed with its end, which is running now and to be run. */
export interface JobOutcome {
  result: JobResult
  next: LockedJob | null
}

/**
 * Runs one claimed job on a session of its own, and settles it whatever happens. `lock` is what came of taking its
 * view's lock on that session, where that was tried.
 */
export async function runJob(
  db: Database,
  {job, lock: taken}: Omit<LockedJob, 'lock'> & Partial<LockedJob>,
  context: JobContext,
): Promise<JobOutcome> {
  const view = viewOfPayload(job.payload)
  const facts = factsOf(job, view)
  const startedAt = performance.now()
  try {
    if (!view) {
      throw invalidArgument(
        `the payload names no view: ${shownPayload(job.payload)}`,
        'it needs a "view_name", and a "schema" unless that is public',
      )
    }
    const registration = job.registration ?? (await autoRegister(db, view))
    for (let outdatedTries = 0; ; outdatedTries++) {
      const work = (lock: RefreshLock) => {
        context.onLocked(lock)
        if (outdatedTries === 0) context.emit({type: 'job-started', ...facts, latenessMs: job.latenessMs})
        return refreshLocked(db, job, registration, lock, context, outdatedTries)
      }
      const lock = outdatedTries === 0 ? taken : undefined
      const result = await withRefreshLock(db.session, registration, work, lock)
      if (result === 'outdated') continue
      return result ?? {result: await skip(db, job, registration, context), next: null}
    }
  } catch (reason) {
    // It never got as far as a refresh, or the session died on the way: there is no run to record.
    const end = isAybError(reason, 'CONNECTION_LOST')
      ? RETURNED
      : jobEndAfter(reason, job.attempt, job.maxAttempts)
    const settle = (session: Session) => endJob(session, db, job, end, messageOf(reason), view)
    const state = await persistently(context.signal, () =>
      db.session.isUsable ? settle(db.session) : settleOnAnySession(context, settle),
    )
    const ending = {
      reason,
      jobEnd: end,
      durationMs: performance.now() - startedAt,
      isSettled: state !== null,
      isCalledOff: state !== end.state,
    }
    return {result: report(job, view, ending, context), next: null}
  } finally {
    await taken?.release()
  }
}

/** While its end is not recorded, a job stays this worker's: found later, it would count as lost. */
const RECORD_PATIENCE_MS = 60_000
const RECORD_PAUSE_MS = 1000

/** What a full disk or a lock keeps from being written is tried again for a while, with the same words. */
async function persistently<T>(
  signal: AbortSignal,
  write: () => Promise<T>,
  canGoOn = () => true,
): Promise<T> {
  for (const givesUpAt = performance.now() + RECORD_PATIENCE_MS; ; ) {
    try {
      return await write()
    } catch (error) {
      const isOver = signal.aborted || performance.now() >= givesUpAt || !canGoOn()
      if (!isAybError(error) || isOver) throw error
      await sleep(RECORD_PAUSE_MS, undefined, {signal}).catch(() => {})
    }
  }
}

/** A kept session that had died unnoticed is no attempt. */
const RETURNED: JobEnd = {state: 'queued', delayMs: 1000, isAttemptReturned: true}

/** Settles a job that has no session: on the control session, or where that is gone too, on a new one. */
export async function settleOnAnySession<T>(
  context: RunnerContext,
  settle: (session: Session) => Promise<T>,
): Promise<T> {
  const control = context.control()
  if (control) return settle(control.session)
  const session = await context.reconnect()
  try {
    return await settle(session)
  } finally {
    await session.close()
  }
}

/** A scheduled view that nobody registered is registered, in standard mode. */
async function autoRegister(db: Database, view: ViewName): Promise<RefreshTarget> {
  await requireView(db, view)
  // Lost with the server, it is made again.
  const insert = () => insertRegistration(db, view, 'standard')
  const created = await db.session.transaction(insert, {commitsLocally: true})
  if (created) await rememberView(db, view)
  const registration = created ?? (await findRegistration(db, view))
  return registration ?? autoRegister(db, view)
}

async function skip(
  db: Database,
  job: ClaimedJob,
  registration: RefreshTarget,
  {emit, signal, holders}: RunnerContext,
): Promise<JobResult> {
  const facts = factsOf(job, registration)
  const returned = await persistently(
    signal,
    () => putBack(db.session, db, job, registration),
    () => db.session.isUsable,
  )
  if (!returned) {
    emit({type: 'job-lost', ...facts})
    return 'lost'
  }
  const delayMs = returned.state === 'queued' ? returned.delayMs : null
  const holder = await findLockHolder(db.session, registration).catch(() => null)
  const isNews = holders.isNews(registration, holder)
  emit({type: 'job-skipped', ...facts, delayMs, holder: holder && describeBlocker(holder), isNews})
  return 'skipped'
}

async function refreshLocked(
  db: Database,
  job: ClaimedJob,
  registration: RefreshTarget,
  lock: RefreshLock,
  context: RunnerContext,
  outdatedTries: number,
): Promise<JobOutcome | 'outdated'> {
  const mode = registration.refreshMode
  const past = context.patience.of(job)
  const lockTry = await nextTry(db, registration, lockPolicy(context, mode), past)
  const attempt: Attempt = {
    runId: newRunId(),
    registration,
    mode,
    job,
    timeoutMs: context.timeoutMs,
    lockTimeoutMs: lockTry.limitMs,
    lockWaitMs: past.waitMs,
    startedAt: lock.startedAt,
  }
  const facts = factsOf(job, registration)
  let isTold = false
  const startedAt = performance.now()
  let nextWordAt = startedAt
  const outcome = await runAttempt(db, attempt, lock, {
    signal: context.signal,
    jobEndAfter: (reason) => jobEndAfter(reason, job.attempt, job.maxAttempts),
    claimNext: context.claimNext,
    reconnect: context.reconnect,
    onUnrecorded(message, {reason, durationMs}) {
      if (!isTold) {
        const cause = {durationMs: Math.round(durationMs), ...errorOf(reason)}
        context.emit({type: 'job-unrecorded', ...facts, message, ...cause})
      }
      isTold = true
    },
    recordPatienceMs: RECORD_PATIENCE_MS,
    lockTry,
    watchLocks: context.watchLocks,
    onWait(wait) {
      const now = performance.now()
      if (!wait || now < nextWordAt) return
      nextWordAt = now + SAY_AGAIN_MS
      const waitedMs = past.elapsedMs + now - startedAt
      context.emit({type: 'job-waiting', ...facts, waiting: describeWait(wait.blockers, waitedMs), waitedMs})
    },
    outdatedTries,
  })
  for (const message of db.warnings.splice(0)) context.emit({type: 'warning', message})
  if (outcome.status === 'outdated') return 'outdated'
  if (outcome.status === 'blocked') {
    return {result: await putBackBlocked(db, job, registration, outcome, context), next: null}
  }
  if (past.tries > 0) {
    context.patience.forget(job)
    // A worker that stops passes the patience on. What stays behind otherwise only makes the next attempt less patient.
    const isOver = outcome.status === 'failed' && !isAybError(outcome.reason, 'CANCELED')
    if (isOver && db.session.isUsable) {
      await forgetTries(db.session, db, job, registration).catch(() => {})
    }
  }
  if (outcome.status === 'failed') {
    if (!outcome.isRecorded) return {result: 'unrecorded', next: null}
    return {result: report(job, registration, outcome, context), next: null}
  }
  const {next} = outcome
  if (!outcome.isSettled) {
    context.emit({type: 'job-lost', ...facts})
    return {result: 'lost', next}
  }
  context.emit({type: 'job-succeeded', ...facts, durationMs: outcome.durationMs, lockWaitMs: past.waitMs})
  return {result: 'succeeded', next}
}

/** A refresh that waits for a lock for long is told of again. */
const SAY_AGAIN_MS = 60_000

/** The slot is free for other jobs while this one lets others pass. */
async function putBackBlocked(
  db: Database,
  job: ClaimedJob,
  registration: RefreshTarget,
  {wait, past, pauseMs}: BlockedAttempt,
  {emit, signal, patience}: RunnerContext,
): Promise<JobResult> {
  const state = await persistently(
    signal,
    () => putBackAfterTry(db.session, db, job, registration, {...past, pauseMs}),
    () => db.session.isUsable,
  )
  const facts = factsOf(job, registration)
  if (state === null) {
    emit({type: 'job-lost', ...facts})
    return 'lost'
  }
  if (state === 'canceled') {
    patience.forget(job)
    emit({type: 'job-skipped', ...facts, delayMs: null, holder: null, isNews: true})
    return 'skipped'
  }
  patience.remember(job, past)
  const waiting = describeWait(wait.blockers, past.elapsedMs)
  emit({type: 'job-blocked', ...facts, delayMs: pauseMs, tries: past.tries, waiting})
  return 'skipped'
}

function report(
  job: ClaimedJob,
  view: ViewName | null,
  {reason, jobEnd: end, durationMs, isSettled, isCalledOff}: Omit<FailedAttempt, 'status' | 'isRecorded'>,
  {emit}: RunnerContext,
): JobResult {
  const facts = {...factsOf(job, view), durationMs: Math.round(durationMs)}
  if (!isSettled) {
    emit({type: 'job-lost', ...facts})
    return 'lost'
  }
  if (isAybError(reason, 'CANCELED')) {
    emit({type: 'job-interrupted', ...facts, isPutBack: !isCalledOff})
    return 'interrupted'
  }
  const error = errorOf(reason)
  if (end.state === 'failed' || isCalledOff) {
    emit({type: 'job-failed', ...facts, ...error, isCalledOff})
    return 'failed'
  }
  const {delayMs, isAttemptReturned} = end
  emit({type: 'job-retried', ...facts, ...error, delayMs, isAttemptReturned})
  return 'retried'
}

const errorOf = (reason: unknown) => ({
  error: messageOf(reason),
  code: isAybError(reason) ? reason.code : null,
})

export const factsOf = (job: ClaimedJob, view: ViewName | null) => ({
  jobId: job.id,
  scheduleId: job.scheduleId,
  view: view && qualifiedName(view),
  attempt: job.attempt,
})
