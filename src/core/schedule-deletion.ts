import type {Database} from '../db/database.ts'
import {cancelQueuedJobs, endRetries} from '../db/job-changes.ts'
import {countQueuedJobs} from '../db/jobs.ts'
import {advanceSets} from '../db/queue/set-progress.ts'
import {deleteSchedules, lockSchedule} from '../db/schedule-changes.ts'
import {scheduleNotFound} from '../lib/failures/schedules.ts'
import type {ScheduleDocument} from '../lib/records/schedules.ts'
import type {Unworded} from '../lib/unworded.ts'
import {requireSchedule} from './lookup.ts'

/**
 * Removes a schedule, and cancels what it has queued. Returns it as it was.
 * @throws AybError SCHEDULE_NOT_FOUND
 */
export async function deleteSchedule(db: Database, reference: string): Promise<Unworded<ScheduleDocument>> {
  const {id} = await requireSchedule(db, reference)
  await db.prepareTables()
  const schedule = await db.session.transaction(async () => {
    const before = await lockSchedule(db, id)
    if (!before) throw scheduleNotFound(reference, null)
    await removeSchedules(db, [id])
    return before
  })
  return {schedule, warnings: db.takeWarnings()}
}

/** Deletes schedules whose rows the transaction holds, and cancels what they have queued. */
export async function removeSchedules(db: Database, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await cancelQueuedJobs(db, ids)
  await endRetries(db, ids)
  await deleteSchedules(db, ids)
  await advanceSets(db, {scheduleIds: ids})
}

/**
 * What deleteSchedule would remove and cancel: the schedule, and how many jobs it has queued. Changes
 * nothing.
 * @throws AybError SCHEDULE_NOT_FOUND
 */
export async function previewDeletion(
  db: Database,
  reference: string,
): Promise<{document: Unworded<ScheduleDocument>; queuedJobs: number}> {
  const schedule = await requireSchedule(db, reference)
  const queuedJobs = await countQueuedJobs(db, schedule.id)
  return {document: {schedule, warnings: db.takeWarnings()}, queuedJobs}
}
