import {describeView} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {cancelQueuedJobs, endRetries, enqueueJob} from '../db/job-changes.ts'
import {countQueuedJobs, findJobs} from '../db/jobs.ts'
import {advanceSets} from '../db/queue/set-progress.ts'
import {findLiveSet, insertSet, keepSets, type NewSet} from '../db/queue/sets.ts'
import {findRegistration} from '../db/registrations.ts'
import * as stored from '../db/schedule-changes.ts'
import * as schedules from '../db/schedules.ts'
import {nextRun, parseCron} from '../lib/cron.ts'
import {jobDeleted} from '../lib/failures/jobs.ts'
import {scheduleExists, scheduleNotFound} from '../lib/failures/schedules.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {jobScope, payloadOf, type RefreshPayload, scopeParts, viewOfPayload} from '../lib/payload.ts'
import type {JobScope} from '../lib/records/jobs.ts'
import type {ListedSchedule, Schedule, ScheduleDocument, ScheduleRun} from '../lib/records/schedules.ts'
import {notReady, type Unworded, type Warning} from '../lib/unworded.ts'
import {findConcurrentBlockers} from './catalog.ts'
import {requireRegistration, requireSchedule} from './lookup.ts'
import {planJobSet} from './refresh-set/job-set.ts'
import type {ScheduleChanges, ScheduleInput, ScheduleTarget} from './schedule-input.ts'
import {isUntimed, scheduleWarnings} from './schedule-warnings.ts'
import {absentWorkers} from './workers.ts'

/**
 * Creates a schedule from input that checkInput has accepted. A view that does not exist yet, or is not ready
 * for its mode, causes a warning.
 * @throws AybError NOT_REGISTERED, SCHEDULE_EXISTS
 */
export async function createSchedule(
  db: Database,
  input: ScheduleInput,
): Promise<Unworded<ScheduleDocument>> {
  const settings = {
    name: input.name,
    payload: withScope(await resolveTarget(db, input.target), input),
    cronExpr: input.cron,
    timezone: input.timezone,
    enabled: input.enabled,
    maxAttempts: input.maxAttempts,
  }
  await db.prepareTables()
  if (settings.payload.scope) requireSets(db)
  const warnings = await targetWarnings(db, settings.payload)
  const nextRunAt = await computeNextRun(db, settings)
  const schedule = await stored.insertSchedule(db, {...settings, nextRunAt})
  if (!schedule) throw scheduleExists(settings.name)
  if (schedule.enabled) warnings.push(...(await absentWorkers(db)))
  return {schedule, warnings: [...db.takeWarnings(), ...warnings]}
}

/**
 * Changes the given parts of a schedule; checkInput has accepted them. Its next run is computed anew when
 * cron, time zone or enabled change; disabling cancels what it has queued.
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
  if (changes.isCascade || changes.isWithDependencies || payload?.scope) requireSets(db)
  const schedule = await db.session.transaction(async () => {
    const before = await stored.lockSchedule(db, id)
    if (!before) throw scheduleNotFound(reference, null)
    return changeSchedule(db, before, changes, payload)
  })
  return {schedule, warnings: [...db.takeWarnings(), ...warnings]}
}

/**
 * Changes a schedule whose row the transaction holds. `payload` is what the target of the changes means.
 * @throws AybError SCHEDULE_EXISTS, INVALID_ARGUMENT as updateSchedule
 */
export async function changeSchedule(
  db: Database,
  before: Schedule,
  changes: ScheduleChanges,
  payload: RefreshPayload | undefined,
): Promise<Schedule> {
  const {id} = before
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
  const updated = await stored.updateSchedule(db, id, {
    ...{...timing, name, payload, maxAttempts, scope: changedScope(before, changes)},
    nextRunAt: isRetimed ? await computeNextRun(db, timing) : undefined,
  })
  if (updated === 'taken') throw scheduleExists(name ?? before.name)
  if (changes.enabled === false) await advanceSets(db, {scheduleId: id})
  else if (!updated.enabled) await keepSets(db, id)
  return updated
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
    const before = await stored.lockSchedule(db, id)
    if (!before) throw scheduleNotFound(reference, null)
    await removeSchedule(db, id)
    return before
  })
  return {schedule, warnings: db.takeWarnings()}
}

/** Deletes a schedule whose row the transaction holds, and cancels what it has queued. */
export async function removeSchedule(db: Database, id: string): Promise<void> {
  await cancelQueuedJobs(db, id)
  await endRetries(db, id)
  await stored.deleteSchedule(db, id)
  await advanceSets(db, {scheduleId: id})
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
    await advanceSets(db, {scheduleId: schedule.id})
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
  await advanceSets(db, {scheduleId: before.id})
  const jobs = await findJobs(db, queued)
  const [job] = jobs
  if (!job) throw jobDeleted(queued[0] ?? '')
  return {job, warnings: [...db.takeWarnings(), ...warnings, ...(await absentWorkers(db))], jobs}
}

/** The set that a schedule means now; null for one job, which a worker makes a set of where that is needed. */
async function planRun(db: Database, {id, payload, maxAttempts, scope}: Schedule): Promise<NewSet | null> {
  const view = viewOfPayload(payload)
  if (scope === null || view === null || !db.mayWrite('edges')) return null
  const registration = await findRegistration(db, view)
  return registration && planJobSet(db, registration, scope, {scheduleId: id, maxAttempts})
}

/** Undefined where nobody asked. */
type AskedScope = Pick<ScheduleChanges, 'isCascade' | 'isWithDependencies'>

export const requireSets = (db: Database): void =>
  db.requireTable('edges', 'a schedule that refreshes several views in order')

/** The payload with the scope that was asked for; where nobody asked, with its own. */
function withScope(payload: RefreshPayload, asked: AskedScope): RefreshPayload {
  const scope = mergedScope(payload.scope ?? null, asked)
  const {scope: _, ...others} = payload
  return scope === null ? others : {...others, scope}
}

/** Undefined where the scope is to stay as the payload has it. */
function changedScope(before: Schedule, {target, ...asked}: ScheduleChanges): JobScope | null | undefined {
  const isAsked = asked.isCascade !== undefined || asked.isWithDependencies !== undefined
  if (target && 'payload' in target) {
    return isAsked ? mergedScope(target.payload.scope ?? null, asked) : undefined
  }
  return isAsked || target ? mergedScope(before.scope, asked) : undefined
}

function mergedScope(own: JobScope | null, asked: AskedScope): JobScope | null {
  const {isCascade, isWithDependencies} = scopeParts(own)
  return jobScope({
    isCascade: asked.isCascade ?? isCascade,
    isWithDependencies: asked.isWithDependencies ?? isWithDependencies,
  })
}

async function resolveTarget(db: Database, target: ScheduleTarget): Promise<RefreshPayload> {
  if ('payload' in target) return target.payload
  const {view} = target
  return payloadOf('id' in view ? await requireRegistration(db, view) : view)
}

async function computeNextRun(db: Database, timing: Timing): Promise<string | null> {
  return timing.enabled ? nextRunOf(timing, await db.session.serverTime()) : null
}

interface Timing {
  cronExpr: string
  timezone: string
  enabled: boolean
}

/** When a schedule comes next; null while it is disabled, and where it never does. */
export const nextRunOf = ({cronExpr, timezone, enabled}: Timing, now: Date): string | null =>
  enabled ? (nextRun(parseCron(cronExpr), timezone, now)?.toISOString() ?? null) : null

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
