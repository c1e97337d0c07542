import type {Database} from '../db/database.ts'
import {cancelQueuedJobs} from '../db/job-changes.ts'
import {advanceSets} from '../db/queue/set-progress.ts'
import {keepSets} from '../db/queue/sets.ts'
import * as stored from '../db/schedule-changes.ts'
import * as schedules from '../db/schedules.ts'
import {scheduleExists, scheduleNotFound} from '../lib/failures/schedules.ts'
import type {RefreshPayload} from '../lib/payload.ts'
import type {ListedSchedule, Schedule, ScheduleDocument} from '../lib/records/schedules.ts'
import {hasPolicy, NO_POLICY, type SchedulePolicy} from '../lib/schedule-policy.ts'
import type {Unworded} from '../lib/unworded.ts'
import {unkeepablePromises} from './kept-promise.ts'
import {requireSchedule} from './lookup.ts'
import {nextRunOf} from './next-run.ts'
import {checkPromise, type ScheduleChanges, type ScheduleInput} from './schedule-input.ts'
import {readTargets, scheduleProspects, targetWarnings} from './schedule-prospects.ts'
import {changedScope, resolveTarget, withScope} from './schedule-target.ts'
import {isUntimed, jitterWarnings, scheduleWarnings} from './schedule-warnings.ts'

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
    policy: changedPolicy(NO_POLICY, input) ?? NO_POLICY,
    maxAgeMs: input.maxAgeMs ?? null,
  }
  await db.prepareTables()
  if (settings.payload.scope) requireSets(db)
  requireSchedulePolicies(db, settings.policy)
  if (settings.maxAgeMs !== null) requirePromises(db)
  const targets = await readTargets(db, settings.payload)
  const nextRunAt = nextRunWhileEnabled(settings, await db.session.serverTime())
  const schedule = await stored.insertSchedule(db, {...settings, nextRunAt})
  if (!schedule) throw scheduleExists(settings.name)
  const warnings = await scheduleProspects(db, [schedule], targets)
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
  const warnings = payload ? await targetWarnings(db, [{payload}], await readTargets(db, payload)) : []
  if (changes.isCascade || changes.isWithDependencies || payload?.scope) requireSets(db)
  if (changes.maxAgeMs != null) requirePromises(db)
  const schedule = await db.session.transaction(async () => {
    const before = await stored.lockSchedule(db, id)
    const [updated] = before ? await changeSchedules(db, [{before, changes, payload}]) : []
    if (!updated) throw scheduleNotFound(reference, null)
    return updated
  })
  if (changes.jitterMs || changes.cron !== undefined) warnings.push(...jitterWarnings(schedule))
  if (changes.maxAgeMs != null) warnings.push(...(await unkeepablePromises(db, [schedule])))
  return {schedule, warnings: [...db.takeWarnings(), ...warnings]}
}

/** A schedule, what to change of it, and what the target of the changes means. */
export interface ChangedSchedule {
  before: Schedule
  changes: ScheduleChanges
  payload: RefreshPayload | undefined
}

/**
 * Changes schedules whose rows the transaction holds. Returns them in no order.
 * @throws AybError SCHEDULE_EXISTS, INVALID_ARGUMENT as updateSchedule, PERMISSION_DENIED where a policy has
 * no table
 */
export async function changeSchedules(
  db: Database,
  changed: readonly ChangedSchedule[],
): Promise<Schedule[]> {
  if (changed.length === 0) return []
  const planned = changed.map((each) => ({...each, ...plannedTiming(each), policy: checkedPolicy(db, each)}))
  const isDisabling = ({changes}: ChangedSchedule) => changes.enabled === false
  const disabled = changed.filter(isDisabling).map(({before}) => before.id)
  // First: a job that a worker claims meanwhile then began before the change, and is not queued again.
  if (disabled.length > 0) await cancelQueuedJobs(db, disabled)
  const now = planned.some(({isRetimed}) => isRetimed) ? await db.session.serverTime() : null
  const updated = await stored.updateSchedules(
    db,
    planned.map(({before, changes, payload, timing, isRetimed, policy}) => ({
      ...{id: before.id, ...timing, name: changes.name, payload, maxAttempts: changes.maxAttempts, policy},
      scope: changedScope(before, changes),
      nextRunAt: isRetimed && now ? nextRunWhileEnabled(timing, now) : undefined,
    })),
  )
  if (updated === 'taken') {
    throw scheduleExists(changed.flatMap(({changes}) => changes.name ?? [])[0] ?? '')
  }
  if (disabled.length > 0) await advanceSets(db, {scheduleIds: disabled})
  const cut = new Set(disabled)
  await keepSets(
    db,
    updated.filter(({id, enabled}) => !enabled && !cut.has(id)).map(({id}) => id),
  )
  return updated
}

/** When a changed schedule runs, and whether its next run is to be computed anew. */
function plannedTiming({before, changes}: ChangedSchedule): {timing: Timing; isRetimed: boolean} {
  const timing = {
    cronExpr: changes.cron ?? before.cronExpr,
    timezone: changes.timezone ?? before.timezone,
    enabled: changes.enabled ?? before.enabled,
    maxAgeMs: changedPromise(before, changes),
  }
  const isRetimed =
    timing.cronExpr !== before.cronExpr ||
    timing.timezone !== before.timezone ||
    timing.enabled !== before.enabled ||
    timing.maxAgeMs !== before.maxAgeMs ||
    // Another program left it without a next run: enabled, and never due.
    (changes.enabled === true && isUntimed(before))
  return {timing, isRetimed}
}

/**
 * The policy of changedPolicy, if the schedule can have that.
 * @throws AybError INVALID_ARGUMENT beside a max age, PERMISSION_DENIED where the policy has no table
 */
function checkedPolicy(db: Database, {before, changes}: ChangedSchedule): SchedulePolicy | undefined {
  const policy = changedPolicy(before, changes)
  if (changes.maxAgeMs != null || changes.jitterMs || changes.catchUp === 'none') {
    checkPromise({...(policy ?? before), maxAgeMs: changedPromise(before, changes)})
  }
  if (policy) requireSchedulePolicies(db, policy)
  return policy
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

export const requireSets = (db: Database): void =>
  db.requireTable('edges', 'a schedule that refreshes several views in order')

/** @throws AybError PERMISSION_DENIED where a policy that asks for something has no table */
export function requireSchedulePolicies(db: Database, policy: SchedulePolicy): void {
  if (hasPolicy(policy)) {
    db.requireTable('schedulePolicies', 'a schedule with jitter, quiet times or another catch-up')
  }
}

/** The promise as it is to be: an expression that the schedule does not have yet ends the promise. */
function changedPromise(before: Schedule, {cron, maxAgeMs}: ScheduleChanges): number | null {
  if (maxAgeMs !== undefined) return maxAgeMs
  return cron === undefined || cron === before.cronExpr ? before.maxAgeMs : null
}

/** The policy behind the changes; undefined where nobody asked for any. */
function changedPolicy(before: SchedulePolicy, changes: ScheduleChanges): SchedulePolicy | undefined {
  const {jitterMs, catchUp, notDuring} = changes
  if (jitterMs === undefined && catchUp === undefined && notDuring === undefined) return undefined
  return {
    // Zero is no jitter.
    jitterMs: jitterMs === undefined ? before.jitterMs : jitterMs || null,
    catchUp: catchUp ?? before.catchUp,
    notDuring: notDuring === undefined ? before.notDuring : [...notDuring],
  }
}

interface Timing {
  cronExpr: string
  timezone: string
  enabled: boolean
  maxAgeMs: number | null
}

/** As it is stored: null while the schedule is disabled, and where it is never due. */
export function nextRunWhileEnabled(timing: Timing, now: Date): string | null {
  if (!timing.enabled) return null
  // A worker knows how old the data is, and whether that is old enough.
  return (timing.maxAgeMs === null ? nextRunOf(timing, now) : now)?.toISOString() ?? null
}

export const requirePromises = (db: Database): void =>
  db.requireTable('promises', 'a schedule that promises how old data may become')
