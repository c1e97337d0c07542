import type {ClaimedJob} from '../../db/queue/claims.ts'
import type {JobTransition} from '../../db/queue/fence.ts'
import {describeWait} from '../../lib/blockers.ts'
import {type ErrorCode, isAybError, messageOf} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {RefreshEvent} from '../../lib/refresh-events.ts'
import type {Emit} from '../../lib/worker-events.ts'
import type {LockPatience} from './lock-patience.ts'

/** What became of a job in this worker. */
export type JobOutcome =
  | 'succeeded'
  | 'failed'
  | 'retried'
  | 'unchanged'
  /** The job was put back for a second look. */
  | 'second-look'
  | 'skipped'
  | 'interrupted'
  | 'lost'
  | 'unrecorded'
  /** The job was made a set, in which it waits for others. */
  | 'waiting'

/** What every event of a job says of it. */
export const factsOf = (job: ClaimedJob, view: ViewName | null) => ({
  jobId: job.id,
  schedule: job.schedule?.name ?? null,
  scheduleId: job.scheduleId ?? job.schedule?.id ?? null,
  view: view && qualifiedName(view),
  attempt: job.attempt,
})

type JobFacts = ReturnType<typeof factsOf>

/** What a listener needs of the worker. */
interface Listening {
  emit: Emit
  patience: LockPatience
  /** Aborted when the worker does not wait any longer for what runs. */
  signal: AbortSignal
}

/** Tells of a refresh in the words of a worker. `tellUnrecorded` tells that its end stays unrecorded. */
export function listenFor(job: ClaimedJob, facts: JobFacts, {emit, patience, signal}: Listening) {
  let unrecorded: {message: string; durationMs: number; error: string; code: ErrorCode | null} | null = null
  const tellUnrecorded = (outlook = '') => {
    if (!unrecorded) return
    emit({type: 'job-unrecorded', ...facts, ...unrecorded, message: `${unrecorded.message}${outlook}`})
  }
  const onEvent = (event: RefreshEvent) => {
    switch (event.type) {
      case 'warning':
        emit(event)
        break
      case 'fallback':
        if (event.isNews) emit({type: 'warning', message: event.message})
        break
      case 'blocked': {
        const {blockers, waitedMs} = event
        if (!patience.isWaitNews(job)) return
        emit({type: 'job-waiting', ...facts, waiting: describeWait(blockers, waitedMs), waitedMs})
        break
      }
      case 'unrecorded': {
        const isFirst = unrecorded === null
        const {message, durationMs, reason} = event
        unrecorded = {message, durationMs: Math.round(durationMs), ...errorOf(reason)}
        // A worker that cancels its refreshes makes no other try.
        if (isFirst && !signal.aborted) tellUnrecorded('; trying again')
      }
    }
  }
  return {onEvent, tellUnrecorded}
}

/** A failure, and what becomes of its job. */
export interface FailedJob {
  reason: unknown
  transition: JobTransition
  durationMs: number
  /** False where the job was no longer ours. */
  isSettled: boolean
  /** Whether the job was ended instead of queued: its schedule was disabled or deleted meanwhile. */
  isCalledOff: boolean
}

/** Tells that somebody else has taken the job. */
export function reportLost(facts: JobFacts, emit: Emit): JobOutcome {
  emit({type: 'job-lost', ...facts})
  return 'lost'
}

/** Tells that the job was canceled in place of being put back: its schedule was called off. */
export function reportCanceled(facts: JobFacts, emit: Emit): JobOutcome {
  emit({type: 'job-canceled', ...facts})
  return 'skipped'
}

/** Tells how an attempt failed, and what became of the job. */
export function reportFailure(
  attempt: JobFacts,
  {reason, transition, durationMs, isSettled, isCalledOff}: FailedJob,
  {emit}: {emit: Emit},
): JobOutcome {
  const facts = {...attempt, durationMs: Math.round(durationMs)}
  if (!isSettled) return reportLost(facts, emit)
  if (isAybError(reason, 'CANCELED')) {
    emit({type: 'job-interrupted', ...facts, isReturned: !isCalledOff})
    return 'interrupted'
  }
  const error = errorOf(reason)
  if (transition.state === 'failed' || isCalledOff) {
    emit({type: 'job-failed', ...facts, ...error, isCalledOff})
    return 'failed'
  }
  const {delayMs, isAttemptReturned} = transition
  emit({type: 'job-retried', ...facts, ...error, delayMs: delayMs ?? 0, isAttemptReturned})
  return 'retried'
}

const errorOf = (reason: unknown) => ({
  error: messageOf(reason),
  code: isAybError(reason) ? reason.code : null,
})
