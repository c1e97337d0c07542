import {formatDuration} from '../duration.ts'
import {AybError, type ErrorCode, invalidArgument, isAybError} from '../errors.ts'
import type {Job} from '../records/jobs.ts'

/** The beginning of an id that several jobs have. */
export function ambiguousJob(prefix: string, ids: readonly string[], mostNamed: number): AybError {
  const named = [...ids.slice(0, mostNamed), ...(ids.length > mostNamed ? ['…'] : [])]
  return invalidArgument(
    `the ids of several jobs begin with ${prefix}`,
    `write more characters of the id: ${named.join(', ')}`,
  )
}

export const jobNotFound = (reference: string): AybError =>
  new AybError('JOB_NOT_FOUND', `there is no job ${reference}`, {remedy: {kind: 'list-jobs'}})

export function jobStateConflict(job: Job, action: 'retry' | 'cancel'): AybError {
  const wanted = {
    retry: 'only a failed job can be retried',
    cancel: 'only a job that has not ended can be canceled',
  }[action]
  return new AybError('JOB_STATE_CONFLICT', `job ${job.id} is ${job.state}: ${wanted}`, {
    remedy: {kind: 'show-job', jobId: job.id},
    details: {state: job.state},
  })
}

/** The job is not retried: its schedule has another job in the queue, which does the same. */
export function queuedAlready(job: Job, queuedId: string): AybError {
  return new AybError(
    'JOB_STATE_CONFLICT',
    `job ${job.id} cannot be retried: its schedule already has a queued job, ${queuedId}`,
    {remedy: {kind: 'show-job', jobId: queuedId}, details: {state: job.state, queuedJobId: queuedId}},
  )
}

/** The job of a set is not retried: the job of a view above has not been completed. */
export const parentComesFirst = ({id, state, lastError}: Job): AybError =>
  new AybError(
    'JOB_STATE_CONFLICT',
    `job ${id} cannot be retried before its parent (${lastError ?? 'the job of a view above was not completed'})`,
    {remedy: {kind: 'list-jobs'}, details: {state}},
  )

/** By code, how the errors of a refresh are worded: a job keeps only the message of its error. */
const MESSAGES: readonly (readonly [ErrorCode, RegExp])[] = [
  // First: the words of Postgres, which follow, may be any.
  ['REFRESH_FAILED', /^the refresh of .+? failed: /],
  ['TIMEOUT', /^(statement|lock) timeout: /],
  ['CONNECTION_LOST', /^lost the connection to /],
  ['INVALID_ARGUMENT', /^the payload names no view: /],
  ['NOT_REGISTERED', /^materialized view .+? is not registered/],
  ['PERMISSION_DENIED', /^this role may |^the refresh of .+? needs the rights of /],
  [
    'VIEW_NOT_FOUND',
    /^there is no materialized view | is an? [a-z ]{1,30}(, not a materialized view$| now: the view was renamed)/,
  ],
  ['UNIQUE_INDEX_REQUIRED', / has no unique index that a concurrent refresh can use/],
  ['NOT_POPULATED', / was never populated, and a concurrent refresh needs rows /],
]

/** The error of a job that failed, for somebody who waited for the job. */
export function jobFailed({id, lastError}: Pick<Job, 'id' | 'lastError'>): AybError {
  const reason = lastError ?? 'its worker recorded no reason'
  const code = MESSAGES.find(([, pattern]) => pattern.test(reason))?.[0] ?? 'REFRESH_FAILED'
  return new AybError(code, `job ${id} failed: ${reason}`, {
    remedy: {kind: 'show-job', jobId: id},
    details: {jobId: id},
  })
}

/** Somebody canceled a job while ayb waited for its end. */
export const jobCanceled = (id: string): AybError =>
  new AybError('JOB_STATE_CONFLICT', `job ${id} was canceled`, {
    remedy: {kind: 'show-job', jobId: id},
    details: {jobId: id, state: 'canceled'},
  })

/** Somebody deleted a job while ayb waited for its end. */
export const jobDeleted = (id: string): AybError =>
  new AybError('JOB_NOT_FOUND', `job ${id} was deleted before ayb saw its end`, {
    remedy: {kind: 'list-jobs'},
    details: {jobId: id},
  })

/** `job` is the job as it was seen last. */
export const jobWaitTimeout = ({state, lastError}: Job, timeoutMs: number): AybError =>
  new AybError('TIMEOUT', `wait timeout: after ${formatDuration(timeoutMs)}, the job is still ${state}`, {
    hint: state === 'queued' && lastError === null ? 'check that a worker is running' : null,
    details: {timeoutMs, timeout: 'wait'},
  })

const CUT_OFF: readonly ErrorCode[] = ['CANCELED', 'CONNECTION_LOST', 'TIMEOUT']

/**
 * Says in an error that cut off the wait for a job that the job goes on. Returns any other error as it is.
 */
export function jobGoesOn(error: unknown, jobId: string): unknown {
  if (!isAybError(error) || !CUT_OFF.includes(error.code)) return error
  const {code, message, hint, details, exitCode} = error
  return new AybError(code, `${message}; job ${jobId} goes on`, {
    hint,
    remedy: {kind: 'show-job', jobId},
    details: {...details, jobId},
    exitCode,
    cause: error,
  })
}
