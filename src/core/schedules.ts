import {describeView} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {cancelQueuedJobs, countQueuedJobs, endRetries, enqueueJob} from '../db/jobs.ts'
import {findRegistration} from '../db/registrations.ts'
import * as schedules from '../db/schedules.ts'
import {nextRun, parseCron} from '../lib/cron.ts'
import {scheduleExists, scheduleNotFound} from '../lib/failures/schedules.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {payloadOf, type RefreshPayload, viewOfPayload} from '../lib/payload.ts'
import type {JobDocument, ListedSchedule, ScheduleDocument} from '../lib/records.ts'
import {notReady, type Unworded, type Warning} from '../lib/unworded.ts'
import {findConcurrentBlockers} from './catalog.ts'
import {requireRegistration, requireSchedule} from './lookup.ts'
import type {ScheduleChanges, ScheduleInput, ScheduleTarget} from './schedule-input.ts'
import {isUntimed, scheduleWarnings} from './schedule-warnings.ts'

/**
 * Creates a schedule of what checkInput let through. A view that is not there yet, or not fit for its mode,
 * is a warning.
 * @throws AybError NOT_REGISTERED, SCHEDULE_EXISTS
 */
export async function createSchedule(
  db: Database,
  input: ScheduleInput,
): Promise<Unworded<ScheduleDocument>> {
  const settings = {
    name: input.name,
    payload: await resolveTarget(db, input.target),
    cronExpr: input.cron,
    timezone: input.timezone,
    enabled: input.enabled,
    maxAttempts: input.maxAttempts,
  }
  await db.prepareTables()
  const warnings = await targetWarnings(db, settings.payload)
  const nextRunAt = await computeNextRun(db, settings)
  const schedule = await schedules.insertSchedule(db, {...settings, nextRunAt})
  if (!schedule) throw scheduleExists(settings.name)
  return {schedule, warnings: [...db.takeWarnings(), ...warnings]}
}

/**
 * Changes what is given of a schedule, as checkInput let it through. Its next run is computed anew when cron,
 * time zone or enabled change; disabling cancels what it has queued.
 * @throws AybError SCHEDULE_NOT_FOUND, SCHEDULE_EXISTS, NOT_REGISTERED, INVALID_ARGUMENT where the stored
 * half of its timing cannot be understood
 */
export async function updateSchedule(
  db: Database,
  reference: string,
  changes: ScheduleChanges,
): Promise<Unworded<ScheduleDocument>> {
  const {id} = await requireSchedule(db, reference)
  const payload = changes.target && (await resolveTarget(db, changes.target))
  await db.prepareTables()
  const warnings = payload ? await targetWarnings(db, payload) : []
  const schedule = await db.session.transaction(async () => {
    const before = await schedules.lockSchedule(db, id)
    if (!before) throw scheduleNotFound(reference, null)
    const timing = {
      cronExpr: changes.cron ?? before.cronExpr,
      timezone: changes.timezone ?? before.timezone,
      enabled: changes.enabled ?? before.enabled,
    }
    const isRetimed =
      timing.cronExpr !== before.cronExpr ||
      timing.timezone !== before.timezone ||
      timing.enabled !== before.enabled ||
      // Another program left it without a next run: enabled, and never due.
      (changes.enabled === true && isUntimed(before))
    const {name, maxAttempts} = changes
    // First: a job that a worker claims meanwhile then began before the change, and is not queued again.
    if (changes.enabled === false) await cancelQueuedJobs(db, id)
    const updated = await schedules.updateSchedule(db, id, {
      ...{...timing, name, payload, maxAttempts},
      nextRunAt: isRetimed ? await computeNextRun(db, timing) : undefined,
    })
    if (updated === 'taken') throw scheduleExists(name ?? before.name)
    return updated
  })
  return {schedule, warnings: [...db.takeWarnings(), ...warnings]}
}

/**
 * Enables or disables a schedule; disabling cancels what it has queued.
 * @throws AybError SCHEDULE_NOT_FOUND
 */
export async function setScheduleEnabled(
  db: Database,
  reference: string,
  {enabled}: {enabled: boolean},
): Promise<Unworded<ScheduleDocument>> {
  return updateSchedule(db, reference, {enabled})
}

/** All schedules. */
export async function listSchedules(db: Database): Promise<ListedSchedule[]> {
  return schedules.listSchedules(db)
}

/**
 * One schedule; what keeps it from working is a warning.
 * @throws AybError SCHEDULE_NOT_FOUND
 */
export async function showSchedule(db: Database, reference: string): Promise<Unworded<ScheduleDocument>> {
  const schedule = await requireSchedule(db, reference)
  return {schedule, warnings: [...db.takeWarnings(), ...scheduleWarnings(schedule)]}
}

/**
 * Removes a schedule, and cancels what it has queued. Returns it as it was.
 * @throws AybError SCHEDULE_NOT_FOUND
 */
export async function deleteSchedule(db: Database, reference: string): Promise<Unworded<ScheduleDocument>> {
  const {id} = await requireSchedule(db, reference)
  await db.prepareTables()
  const schedule = await db.session.transaction(async () => {
    const before = await schedules.lockSchedule(db, id)
    if (!before) throw scheduleNotFound(reference, null)
    await cancelQueuedJobs(db, id)
    await endRetries(db, id)
    await schedules.deleteSchedule(db, id)
    return before
  })
  return {schedule, warnings: db.takeWarnings()}
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

/**
 * Queues a job of the schedule for now, whether or not it is enabled; the one that is queued already, if one
 * is.
 * @throws AybError SCHEDULE_NOT_FOUND
 */
export async function runSchedule(db: Database, reference: string): Promise<Unworded<JobDocument>> {
  const {id} = await requireSchedule(db, reference)
  await db.prepareTables()
  const job = await db.session.transaction(async () => {
    const schedule = await schedules.lockSchedule(db, id)
    if (!schedule) throw scheduleNotFound(reference, null)
    return enqueueJob(db, id)
  })
  return {job, warnings: db.takeWarnings()}
}

async function resolveTarget(db: Database, target: ScheduleTarget): Promise<RefreshPayload> {
  if ('payload' in target) return target.payload
  const {view} = target
  return payloadOf('id' in view ? await requireRegistration(db, view) : view)
}

async function computeNextRun(
  db: Database,
  {cronExpr, timezone, enabled}: {cronExpr: string; timezone: string; enabled: boolean},
): Promise<string | null> {
  if (!enabled) return null
  const now = await db.session.serverTime()
  return nextRun(parseCron(cronExpr), timezone, now)?.toISOString() ?? null
}

/** What will keep the schedule from working, as far as can be seen now. */
async function targetWarnings(db: Database, payload: unknown): Promise<Warning[]> {
  const name = viewOfPayload(payload)
  if (!name) return []
  const view = await describeView(db, name)
  if (!view) return [`there is no materialized view ${qualifiedName(name)} yet: its runs fail until there is`]
  const registration = await findRegistration(db, name)
  if (registration?.refreshMode !== 'concurrent') return []
  const [blockers] = await findConcurrentBlockers(db, [view])
  return (blockers ?? []).map((blocker) => notReady(blocker, 'its runs fail until it is mended'))
}
