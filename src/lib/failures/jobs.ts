import {AybError} from '../errors.ts'
import type {Job} from '../records.ts'

export const jobNotFound = (id: string): AybError =>
  new AybError('JOB_NOT_FOUND', `there is no job ${id}`, {remedy: {kind: 'list-jobs'}})

export function jobStateConflict(job: Job, action: 'retry' | 'cancel'): AybError {
  const wanted = {retry: 'only a failed job can be retried', cancel: 'only a queued job can be canceled'}[
    action
  ]
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
