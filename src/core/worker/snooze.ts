import type {Database} from '../../db/database.ts'
import {findLockHolder} from '../../db/locks/blockers.ts'
import type {ClaimedJob} from '../../db/queue/claims.ts'
import {snoozeBlockedJob} from '../../db/queue/lock-tries.ts'
import {forgetLook, settleUndue} from '../../db/queue/looks.ts'
import {putOffJob} from '../../db/queue/put-off.ts'
import {snoozeJob} from '../../db/queue/settle.ts'
import {settleUnchanged} from '../../db/queue/settle-unchanged.ts'
import {describeBlocker, describeWait} from '../../lib/blockers.ts'
import {scopeOfPayload, viewOfPayload} from '../../lib/payload.ts'
import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {SECOND_LOOK_MS} from '../refresh/decide.ts'
import {JOB_PATIENCE_MS, persistently} from '../refresh/record.ts'
import type {BlockedRefresh, UnchangedView, UndueView} from '../refresh/result.ts'
import {factsOf, type JobOutcome, reportCanceled, reportLost} from './job-reports.ts'
import type {LockHolders} from './lock-holders.ts'
import type {LockPatience} from './lock-patience.ts'
import {isQuietAfter} from './quiet.ts'

/** What a snooze needs of the worker. */
interface Snoozing {
  emit: Emit
  /** The sessions that the worker has told of. */
  holders: LockHolders
  /** The tries of the jobs that it put back. */
  patience: LockPatience
  /** Aborted when the worker does not wait any longer for what runs. */
  signal: AbortSignal
}

/** Snoozes a job whose view another session refreshes. */
export async function snoozeSkipped(
  db: Database,
  job: ClaimedJob,
  registration: RefreshTarget,
  {emit, holders, signal}: Snoozing,
): Promise<JobOutcome> {
  const facts = factsOf(job, registration)
  const snoozed = await persistently(() => snoozeJob(db, job, registration), whileUsable(db, signal))
  if (snoozed === null) return reportLost(facts, emit)
  if (snoozed.state === 'canceled') return reportCanceled(facts, emit)
  const {delayMs} = snoozed
  const holder = await findLockHolder(db.session, registration).catch(() => null)
  const isNews = holders.isNews(registration, holder)
  emit({type: 'job-skipped', ...facts, delayMs, holder: holder && describeBlocker(holder), isNews})
  return 'skipped'
}

/** Snoozes a job whose view could not be locked: its slot is free for other jobs meanwhile. */
export async function snoozeBlocked(
  db: Database,
  {job, registration}: {job: ClaimedJob; registration: RefreshTarget},
  {wait, past, pauseMs}: BlockedRefresh,
  {emit, patience, signal}: Snoozing,
): Promise<JobOutcome> {
  const state = await persistently(
    () => snoozeBlockedJob(db, job, registration, {...past, pauseMs}),
    whileUsable(db, signal),
  )
  const facts = factsOf(job, registration)
  if (state === null) return reportLost(facts, emit)
  if (state === 'canceled') {
    patience.forget(job)
    return reportCanceled(facts, emit)
  }
  patience.remember(job, past)
  const waiting = describeWait(wait.blockers, past.elapsedMs)
  emit({type: 'job-blocked', ...facts, delayMs: pauseMs, tries: past.tries, waiting})
  return 'skipped'
}

/** If the next run of the schedule begins within this time, that run takes the second look. */
const SOON_MS = 60_000

/**
 * Ends a job whose view is unchanged, or puts the job back for the look that counts: its slot is free for
 * other jobs meanwhile. `isLook`: the job was one of many looks, and leaves nothing behind.
 */
export async function endUnchanged(
  db: Database,
  {job, registration, isLook}: {job: ClaimedJob; registration: RefreshTarget; isLook: boolean},
  {look, since}: UnchangedView,
  {emit, signal}: Pick<Snoozing, 'emit' | 'signal'>,
): Promise<JobOutcome> {
  const soonMs = isQuietAfter(job, SOON_MS) ? null : SOON_MS
  const mayBeMember = scopeOfPayload(job.payload) !== null
  const state = await persistently(
    () => settleUnchanged(db, job, registration, look, {secondLookMs: SECOND_LOOK_MS, mayBeMember, soonMs}),
    whileUsable(db, signal),
  )
  const facts = factsOf(job, registration)
  if (state === null) return reportLost(facts, emit)
  if (state === 'canceled') return reportCanceled(facts, emit)
  if (state === 'queued') {
    emit({type: 'job-looks-unchanged', ...facts, delayMs: SECOND_LOOK_MS})
    return 'second-look'
  }
  if (isLook) await forgetLook(db, job.id).catch(() => {})
  emit({type: 'job-unchanged', ...facts, since, isLook})
  return 'unchanged'
}

/** Ends a job that came before its view has to be refreshed; its schedule comes up when that is due. */
export async function endUndue(
  db: Database,
  {job, registration}: {job: ClaimedJob; registration: RefreshTarget},
  {dueInMs}: UndueView,
  {emit, signal}: Pick<Snoozing, 'emit' | 'signal'>,
): Promise<JobOutcome> {
  const isSettled = await persistently(() => settleUndue(db, job, dueInMs), whileUsable(db, signal))
  const facts = factsOf(job, registration)
  if (!isSettled) return reportLost(facts, emit)
  emit({type: 'job-undue', ...facts, dueInMs})
  return 'unchanged'
}

/** Puts a job back until the quiet time of its schedule is over, with its patience for locks as new. */
export async function putOff(
  db: Database,
  job: ClaimedJob,
  until: Date,
  {emit, patience, signal}: Omit<Snoozing, 'holders'>,
): Promise<JobOutcome> {
  const view = viewOfPayload(job.payload)
  const facts = factsOf(job, view)
  const state = await persistently(() => putOffJob(db, job, view, until), whileUsable(db, signal))
  if (state === null) return reportLost(facts, emit)
  patience.forget(job)
  if (state === 'canceled') return reportCanceled(facts, emit)
  emit({type: 'job-put-off', ...facts, until: until.toISOString()})
  return 'skipped'
}

/**
 * Retries while the session of the job lives: where that is lost, the runner requeues the job on another one.
 */
const whileUsable = ({session}: Database, signal: AbortSignal) => ({
  patienceMs: JOB_PATIENCE_MS,
  signal,
  canGoOn: () => session.isUsable,
})
