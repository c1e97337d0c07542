import type {Database} from '../../db/database.ts'
import {type LockAnswer, type RefreshLock, withRefreshLock} from '../../db/locks/refresh-lock.ts'
import {readPromises} from '../../db/promises.ts'
import type {ClaimedJob, ClaimRequest, LockedJob} from '../../db/queue/claims.ts'
import {forgetTries} from '../../db/queue/lock-tries.ts'
import {failOrRequeueJob} from '../../db/queue/settle.ts'
import {insertRegistration} from '../../db/registration-changes.ts'
import {findRegistration} from '../../db/registrations.ts'
import {rememberView} from '../../db/states/remember.ts'
import {invalidArgument, isAybError, messageOf} from '../../lib/errors.ts'
import {notRegistered} from '../../lib/failures/registrations.ts'
import {scopeOfPayload, shownPayload, viewOfPayload} from '../../lib/payload.ts'
import type {PromiseFacts} from '../../lib/promise.ts'
import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {requireView} from '../lookup.ts'
import {attemptRefresh} from '../refresh/attempt.ts'
import type {WatchLocks} from '../refresh/blockers.ts'
import type {RefreshCaller} from '../refresh/caller.ts'
import {changeHandling} from '../refresh/decide.ts'
import {JOB_PATIENCE_MS, persistently} from '../refresh/record.ts'
import {refreshRequest, type WantedSettings} from '../refresh/request.ts'
import type {RefreshResult} from '../refresh/result.ts'
import {
  type FailedJob,
  factsOf,
  type JobOutcome,
  listenFor,
  reportFailure,
  reportLost,
} from './job-reports.ts'
import {isMember, makeSet} from './job-sets.ts'
import type {LockHolders} from './lock-holders.ts'
import type {LockPatience} from './lock-patience.ts'
import {endOfQuiet} from './quiet.ts'
import {transitionAfter, WITHOUT_SESSION} from './retry.ts'
import {endUnchanged, endUndue, putOff, snoozeBlocked, snoozeSkipped} from './snooze.ts'

/** What the runner needs from the worker around it. */
export interface RunnerContext {
  /** How the worker refreshes. */
  settings: WantedSettings
  emit: Emit
  /** Whom the worker has told of. */
  holders: LockHolders
  /** The tries of the jobs that it put back. */
  patience: LockPatience
  watchLocks: WatchLocks
  /** Aborted when the worker does not wait any longer for what runs. */
  signal: AbortSignal
  /** The control session as it is; null while there is none. */
  control(): Database | null
  /** What to claim behind a refresh, for the slot that it leaves; null for nothing. */
  claimNext(): ClaimRequest | null
  /** The database on a new session, when a session was lost in mid-refresh; tries until the worker ends. */
  reconnect(): Promise<Database>
}

/** What the runner needs to know of one job. */
interface JobContext extends RunnerContext {
  /** What came of taking the lock of the job's view on its session. */
  answer: LockAnswer | 'untried'
  /** Called with the lock that the refresh of the job holds from now on. */
  onLocked(lock: RefreshLock): void
}

/** A job that this worker is done with, and the job that was claimed with its end, which is to be run now. */
interface DoneJob {
  outcome: JobOutcome
  next: LockedJob | null
}

/** Runs one claimed job on a session of its own, and settles the job whatever happens. */
export async function runJob(db: Database, job: ClaimedJob, context: JobContext): Promise<DoneJob> {
  const view = viewOfPayload(job.payload)
  const facts = factsOf(job, view)
  const startedAt = performance.now()
  let answer = context.answer
  try {
    if (!view) {
      throw invalidArgument(
        `the payload names no view: ${shownPayload(job.payload)}`,
        'it needs a "view_name", and a "schema" unless that is public',
      )
    }
    const quietUntil = endOfQuiet(job)
    if (quietUntil !== null) return doneAs(await putOff(db, job, quietUntil, context))
    const registration = job.registration ?? (await registerNow(db, job, view))
    const madeInto = await makeSet(db, job, registration, context.emit)
    if (madeInto !== null) return doneAs(madeInto)
    for (let outdatedTries = 0; ; outdatedTries++) {
      const work = (lock: RefreshLock) => {
        context.onLocked(lock)
        if (outdatedTries === 0) {
          const {tries: pastTries} = context.patience.of(job)
          context.emit({type: 'job-started', ...facts, latenessMs: job.latenessMs, pastTries})
        }
        return refreshView(db, job, registration, {lock, outdatedTries, context})
      }
      const done = await withRefreshLock(db.session, registration, work, answer)
      if (done !== 'outdated') return done ?? doneAs(await snoozeSkipped(db, job, registration, context))
      answer = 'untried'
    }
  } catch (reason) {
    return endWithoutRefresh(db, job, {reason, durationMs: performance.now() - startedAt}, context)
  } finally {
    if (typeof context.answer === 'object') await context.answer.release()
  }
}

/**
 * Ends a job without a REFRESH: there is none, or its session died before. The history has no run of a
 * refresh then.
 */
async function endWithoutRefresh(
  db: Database,
  job: ClaimedJob,
  {reason, durationMs}: Pick<FailedJob, 'reason' | 'durationMs'>,
  context: RunnerContext,
): Promise<DoneJob> {
  const view = viewOfPayload(job.payload)
  const isLost = isAybError(reason, 'CONNECTION_LOST')
  const transition = isLost ? WITHOUT_SESSION : transitionAfter(reason, job.attempt, job.maxAttempts)
  const write = (on: Database) => failOrRequeueJob(on, job, transition, {message: messageOf(reason), view})
  const state = await persistently(() => onAnySession(db, context, write), persistence(context))
  const failed = {
    ...{reason, transition, durationMs},
    ...{isSettled: state !== null, isCalledOff: state !== transition.state},
  }
  return doneAs(reportFailure(factsOf(job, view), failed, context))
}

const doneAs = (outcome: JobOutcome): DoneJob => ({outcome, next: null})

const persistence = ({signal}: RunnerContext) => ({patienceMs: JOB_PATIENCE_MS, signal})

/** Writes on the session of a job, where that works; else on the control session, or on a new session. */
export async function onAnySession<T>(
  own: Database | null,
  {control, reconnect}: Pick<RunnerContext, 'control' | 'reconnect'>,
  write: (db: Database) => Promise<T>,
): Promise<T> {
  const usable = own?.session.isUsable ? own : control()
  if (usable) return write(usable)
  const db = await reconnect()
  try {
    return await write(db)
  } finally {
    await db.close()
  }
}

/**
 * A scheduled view that nobody registered is registered, in standard mode; except a member of a set: its view
 * was registered when the set was made.
 */
async function registerNow(db: Database, job: ClaimedJob, view: ViewName): Promise<RefreshTarget> {
  if (await isMember(db, job)) throw notRegistered(view, null)
  return autoRegister(db, view)
}

async function autoRegister(db: Database, view: ViewName): Promise<RefreshTarget> {
  await requireView(db, view)
  // A registration that is lost with the server is made again.
  const insert = () => insertRegistration(db, view, 'standard')
  const created = await db.session.transaction(insert, {commitsLocally: true})
  if (created) await rememberView(db, view)
  const registration = created ?? (await findRegistration(db, view))
  return registration ?? autoRegister(db, view)
}

/** Refreshes the view of a job under its lock. Outdated: nothing was done, and the job is still to be run. */
async function refreshView(
  db: Database,
  job: ClaimedJob,
  registration: RefreshTarget,
  {lock, outdatedTries, context}: {lock: RefreshLock; outdatedTries: number; context: RunnerContext},
): Promise<DoneJob | 'outdated'> {
  const {emit, patience} = context
  const facts = factsOf(job, registration)
  const past = patience.of(job)
  const changes = changeHandling(registration.policy, {wish: null, isPolicyFollowed: true})
  const promise = changes === 'skip' ? await promiseBehind(db, job) : null
  const request = refreshRequest(registration, {usual: context.settings}, {job, changes, promise})
  const listener = listenFor(job, facts, context)
  const caller: RefreshCaller = {
    signal: context.signal,
    onEvent: listener.onEvent,
    watchLocks: context.watchLocks,
    reconnect: context.reconnect,
    recordPatienceMs: JOB_PATIENCE_MS,
    transitionAfter: (reason) => transitionAfter(reason, job.attempt, job.maxAttempts),
    claimNext: context.claimNext,
  }
  const result = await attemptRefresh(db, request, {lock, behind: {past, outdatedTries}, caller})
  for (const message of db.takeWarnings()) emit({type: 'warning', message})
  if (result.status === 'outdated') return 'outdated'
  if (result.status === 'blocked')
    return doneAs(await snoozeBlocked(db, {job, registration}, result, context))
  patience.forget(job)
  if (result.status === 'unchanged')
    return doneAs(await endUnchanged(db, {job, registration, isLook: promise !== null}, result, context))
  if (result.status === 'undue') return doneAs(await endUndue(db, {job, registration}, result, context))
  if (past.tries > 0) await forgetTriesAfter(result, db, job, registration)
  if (result.status === 'failed') {
    if (result.isRecorded) return doneAs(reportFailure(facts, result, context))
    listener.tellUnrecorded()
    return doneAs('unrecorded')
  }
  const {next, durationMs} = result
  if (!result.isSettled) return {outcome: reportLost(facts, emit), next}
  emit({type: 'job-succeeded', ...facts, durationMs, lockWaitMs: past.waitMs})
  return {outcome: 'succeeded', next}
}

/**
 * The promise that made a job; null where there is none, as for a job that somebody asked for, and for a set:
 * the views below wait for the end of its first job, which is no mere look.
 */
async function promiseBehind(
  db: Database,
  {id, scheduleId, payload, isLook}: ClaimedJob,
): Promise<PromiseFacts | null> {
  if (!isLook || scheduleId === null || scopeOfPayload(payload) !== null) return null
  return (await readPromises(db, [scheduleId], {jobId: id})).get(scheduleId) ?? null
}

/**
 * Has the database forget the tries of a job whose attempt has failed. A worker that stops passes the tries
 * on. Tries that stay behind for another reason only make the next attempt less patient.
 */
async function forgetTriesAfter(
  result: RefreshResult,
  db: Database,
  job: ClaimedJob,
  registration: RefreshTarget,
): Promise<void> {
  const hasFailed = result.status === 'failed' && !isAybError(result.reason, 'CANCELED')
  if (hasFailed && db.session.isUsable) await forgetTries(db, job, registration).catch(() => {})
}
