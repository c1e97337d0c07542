import type {Database} from '../db/database.ts'
import {enqueueJob} from '../db/job-changes.ts'
import {countQueuedJobs, findJobs} from '../db/jobs.ts'
import {advanceSets} from '../db/queue/set-progress.ts'
import {findLiveSet, insertSet, type NewSet} from '../db/queue/sets.ts'
import {findRegistration} from '../db/registrations.ts'
import * as stored from '../db/schedule-changes.ts'
import {jobDeleted} from '../lib/failures/jobs.ts'
import {scheduleNotFound} from '../lib/failures/schedules.ts'
import {viewOfPayload} from '../lib/payload.ts'
import type {Schedule, ScheduleRun} from '../lib/records/schedules.ts'
import type {Unworded, Warning} from '../lib/unworded.ts'
import {requireSchedule} from './lookup.ts'
import {planJobSet} from './refresh-set/job-set.ts'
import {quietWarnings} from './schedule-warnings.ts'
import {absentWorkers} from './workers.ts'

/**
 * Queues a job of the schedule for now, whether or not it is enabled; the one that is queued already, if one
 * is. A schedule of several views makes a set of jobs, unless its last set is under way.
 * @throws AybError SCHEDULE_NOT_FOUND
 */
export async function runSchedule(db: Database, reference: string): Promise<Unworded<ScheduleRun>> {
  const before = await requireSchedule(db, reference)
  await db.prepareTables()
  const set = await planRun(db, before)
  const warnings: Warning[] = []
  const queued = await db.session.transaction(async () => {
    const schedule = await stored.lockSchedule(db, before.id)
    if (!schedule) throw scheduleNotFound(reference, null)
    // The worker of its last job may have died before it noted the end.
    await advanceSets(db, {scheduleIds: [schedule.id]})
    const live = await findLiveSet(db, schedule.id)
    if (live.length > 0) {
      warnings.push('the jobs of an earlier run have not all ended, so no new run begins')
      return live
    }
    const isQueued = set === null || (await countQueuedJobs(db, schedule.id)) > 0
    if (isQueued) return [(await enqueueJob(db, schedule.id)).id]
    // First: a set of a disabled schedule goes on only if it is younger than each change of the schedule.
    await stored.recordRun(db, schedule.id)
    await insertSet(db, set)
    return set.members.map(({jobId}) => jobId)
  })
  await advanceSets(db, {scheduleIds: [before.id]})
  warnings.push(...quietWarnings(before, await db.session.serverTime()))
  const jobs = await findJobs(db, queued)
  const [job] = jobs
  if (!job) throw jobDeleted(queued[0] ?? '')
  return {job, warnings: [...db.takeWarnings(), ...warnings, ...(await absentWorkers(db))], jobs}
}

/**
 * The set that a schedule means now; null for one job, which a worker makes a set of where that is needed.
 */
async function planRun(db: Database, {id, payload, maxAttempts, scope}: Schedule): Promise<NewSet | null> {
  const view = viewOfPayload(payload)
  if (scope === null || view === null || !db.mayWrite('edges')) return null
  const registration = await findRegistration(db, view)
  return registration && planJobSet(db, registration, scope, {scheduleId: id, maxAttempts})
}
