// A set of jobs: its members wait in _ayb_job_edges, and a member has a row in _ayb_jobs only when the jobs
// of its parents are completed. Whoever ends a job of a set moves the set on (db/queue/set-progress.ts), and
// so does the poll. A member below a job that was not completed ends with the outcome `skipped`, a member
// that somebody cancels with `canceled`; a retry has the skipped members wait again (db/queue/retry.ts).
// Whoever locks several rows locks the schedule first, then members, then jobs.

import type {Database} from '../../db/database.ts'
import type {ClaimedJob} from '../../db/queue/claims.ts'
import {rejoinSet} from '../../db/queue/revive.ts'
import {advanceSets, type WhichSets} from '../../db/queue/set-progress.ts'
import {makeSetOf, membershipOf} from '../../db/queue/sets.ts'
import {isAybError} from '../../lib/errors.ts'
import {scopeOfPayload} from '../../lib/payload.ts'
import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {Emit} from '../../lib/worker-events.ts'
import {planJobSet} from '../refresh-set/job-set.ts'
import {factsOf, type JobOutcome, reportCanceled, reportLost} from './job-reports.ts'

/**
 * Makes a set of a claimed job whose payload has a scope, unless the job belongs to a set already. Returns
 * what became of the job; null where its view is to be refreshed now.
 */
export async function makeSet(
  db: Database,
  job: ClaimedJob,
  view: RefreshTarget,
  emit: Emit,
): Promise<JobOutcome | null> {
  const scope = scopeOfPayload(job.payload)
  if (scope === null) return null
  const facts = factsOf(job, view)
  const membership = await findMembership(db, job)
  // Another program has queued a job again that had ended.
  if (membership === 'ended') await rejoinSet(db, job.id)
  if (membership !== 'none') return null
  if (!db.mayWrite('edges')) {
    const message = `${facts.view} is refreshed alone: the table _ayb_job_edges cannot be used`
    emit({type: 'warning', message})
    return null
  }
  const {id: jobId, scheduleId, maxAttempts} = job
  const set = await planJobSet(db, view, scope, {scheduleId, maxAttempts, jobId})
  if (set === null) return null
  const making = await makeSetOf(db, job, set)
  if (making === 'lost') return reportLost(facts, emit)
  if (making === 'called off') return reportCanceled(facts, emit)
  if (making === 'under way') {
    emit({type: 'set-refused', ...facts})
    return 'skipped'
  }
  const isWaiting = set.members.some((member) => member.jobId === jobId && member.parents.length > 0)
  emit({type: 'set-made', ...facts, jobIds: set.members.map((member) => member.jobId), isWaiting})
  await advanceBehind(db, job, emit)
  return isWaiting ? 'waiting' : null
}

/** Whether the job belongs to a set. */
export const isMember = async (db: Database, job: ClaimedJob): Promise<boolean> =>
  scopeOfPayload(job.payload) !== null && (await findMembership(db, job)) !== 'none'

const findMembership = async (db: Database, {id}: ClaimedJob) =>
  db.mayWrite('edges') ? membershipOf(db, id).catch(withoutTable(db)) : 'none'

const withoutTable =
  (db: Database) =>
  async (error: unknown): Promise<'none'> => {
    if (await db.hasLostTable(error)) return 'none'
    throw error
  }

/**
 * Queues the jobs that have waited for a job of a set that has ended. A failure is left to the next poll,
 * which does the same.
 */
export async function advanceBehind(db: Database, job: ClaimedJob, emit: Emit): Promise<void> {
  if (scopeOfPayload(job.payload) === null) return
  await advance(db, {jobId: job.id}, emit).catch((error) => {
    if (!isAybError(error)) throw error
  })
}

/** Moves sets on, and tells of members that are canceled. Returns whether jobs were queued. */
export async function advance(db: Database, which: WhichSets, emit: Emit): Promise<boolean> {
  const {queued, canceled} = await advanceSets(db, which, {commitsLocally: true})
  for (const member of canceled) emit({type: 'member-canceled', ...member})
  return queued.length > 0
}
