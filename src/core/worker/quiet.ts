import type {Database} from '../../db/database.ts'
import type {ClaimedJob} from '../../db/queue/claims.ts'
import {putOffJob} from '../../db/queue/put-off.ts'
import {viewOfPayload} from '../../lib/payload.ts'
import {endOfQuietTime} from '../../lib/quiet-times.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {JOB_PATIENCE_MS, persistently} from '../refresh/record.ts'
import {factsOf, type JobOutcome} from './job-reports.ts'
import type {LockPatience} from './lock-patience.ts'

/**
 * Until when a job has to wait that was claimed in a quiet time of its schedule; null where it was not.
 * Retries, members of sets and jobs of other programs are due at any time, so each job is looked at when it
 * is claimed.
 */
export function endOfQuiet({schedule, token}: ClaimedJob): Date | null {
  const quiet = schedule?.quiet
  if (!quiet) return null
  const claimedAt = Date.parse(token)
  const end = endOfQuietTime(quiet.notDuring, quiet.timezone, claimedAt)
  return end > claimedAt ? new Date(end) : null
}

/** Whether a run of the schedule of a job that comes due so long behind its claim would begin later. */
export function isQuietAfter({schedule, token}: ClaimedJob, ms: number): boolean {
  const quiet = schedule?.quiet
  const at = Date.parse(token) + ms
  return !!quiet && endOfQuietTime(quiet.notDuring, quiet.timezone, at) > at
}

/** Puts a job back until the quiet time of its schedule is over, with its patience for locks as new. */
export async function putOff(
  db: Database,
  job: ClaimedJob,
  until: Date,
  {emit, patience, signal}: {emit: Emit; patience: LockPatience; signal: AbortSignal},
): Promise<JobOutcome> {
  const view = viewOfPayload(job.payload)
  const facts = factsOf(job, view)
  const state = await persistently(() => putOffJob(db, job, view, until), {
    ...{patienceMs: JOB_PATIENCE_MS, signal},
    canGoOn: () => db.session.isUsable,
  })
  if (state === null) {
    emit({type: 'job-lost', ...facts})
    return 'lost'
  }
  patience.forget(job)
  if (state === 'canceled') emit({type: 'job-canceled', ...facts})
  else emit({type: 'job-put-off', ...facts, until: until.toISOString()})
  return 'skipped'
}
