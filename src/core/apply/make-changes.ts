import type {CatalogView} from '../../db/catalog.ts'
import type {Database} from '../../db/database.ts'
import {writePolicies} from '../../db/policies.ts'
import {deleteRegistrations, insertRegistrations, updateRefreshModes} from '../../db/registration-changes.ts'
import {insertSchedules} from '../../db/schedule-changes.ts'
import {findSchedules} from '../../db/schedules.ts'
import {scheduleExists} from '../../lib/failures/schedules.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {REFRESH_MODES, type RefreshMode} from '../../lib/records/values.ts'
import {workingMode} from '../refresh/mode.ts'
import {requirePolicies} from '../registrations.ts'
import {removeSchedules} from '../schedule-deletion.ts'
import {
  type ChangedSchedule,
  changeSchedules,
  nextRunWhileEnabled,
  requirePromises,
  requireSchedulePolicies,
  requireSets,
} from '../schedules.ts'
import type {CheckedPlan} from './checks.ts'
import type {Plan} from './plan.ts'
import {payloadWith, policyOfSchedule, settingsOf, timingOf} from './schedule-settings.ts'
import {type DeclaredView, policyOfValues} from './views.ts'

/** The state changed while a transaction looked at it. */
export class Moved extends Error {}

/**
 * Makes the changes of a plan, whose rows the transaction holds.
 * @throws Moved where others were faster; AybError PERMISSION_DENIED where something has no table,
 * SCHEDULE_EXISTS where a schedule of another program has the name
 */
export async function makeChanges(db: Database, plan: Plan, catalog: CheckedPlan['catalog']): Promise<void> {
  requireTables(db, plan)
  await removeOthers(db, plan)
  await registerViews(db, plan, catalog)
  await changeViews(db, plan, catalog)
  await changeSchedules(db, plan.changedSchedules.map(changesOfSchedule))
  await createSchedules(db, plan)
}

/**
 * Refuses a plan for which a table is missing. Call it behind prepareTables, which makes the table where the
 * role may.
 * @throws AybError PERMISSION_DENIED
 */
export function requireTables(
  db: Database,
  {newViews, changedViews, newSchedules, changedSchedules}: Plan,
): void {
  const views = [...newViews, ...changedViews.map(({view}) => view)]
  if (views.length > 0) db.requireTable('registrations', 'a registration')
  const demanding = views.map(({values}) => policyOfValues(values)).find(asksForSomething)
  if (demanding) requirePolicies(db, {mode: demanding.mode ?? null})
  const schedules = [...newSchedules, ...changedSchedules.map(({schedule}) => schedule)]
  if (schedules.length > 0) db.requireTable('schedules', 'a schedule')
  if (schedules.some(({values}) => values.cascade || values.withDependencies)) requireSets(db)
  for (const {values} of schedules) requireSchedulePolicies(db, policyOfSchedule(values))
  if (schedules.some(({values}) => values.maxAge !== null)) requirePromises(db)
}

const asksForSomething = ({settings, ...others}: ReturnType<typeof policyOfValues>): boolean =>
  Object.keys(settings).length > 0 || Object.values(others).some((value) => value !== null && value !== false)

async function removeOthers(db: Database, {otherViews, otherSchedules}: Plan): Promise<void> {
  await removeSchedules(
    db,
    otherSchedules.map(({id}) => id),
  )
  if (otherViews.length > 0)
    await deleteRegistrations(
      db,
      otherViews.map(({id}) => id),
    )
}

async function registerViews(db: Database, {newViews}: Plan, catalog: CheckedPlan['catalog']): Promise<void> {
  for (const mode of REFRESH_MODES) {
    const suited = newViews.filter((view) => modeNow(view, catalog) === mode)
    const added = await insertRegistrations(db, suited, mode)
    // Registered by somebody else since, or dropped.
    if (added.length < suited.length) throw new Moved()
  }
  const policies = newViews.map((view) => ({view, policy: policyOfValues(view.values)}))
  await writePolicies(
    db,
    policies.filter(({policy}) => asksForSomething(policy)),
  )
}

async function changeViews(
  db: Database,
  {changedViews}: Plan,
  catalog: CheckedPlan['catalog'],
): Promise<void> {
  const modes = changedViews.map(
    ({view, registration, keys}) =>
      [registration.id, keys.includes('mode') ? modeNow(view, catalog) : null] as const,
  )
  if (modes.length > 0) await updateRefreshModes(db, new Map(modes))
  const demanding = changedViews.filter(
    ({view, registration}) => registration.policy !== null || asksForSomething(policyOfValues(view.values)),
  )
  await writePolicies(
    db,
    demanding.map(({view}) => ({view, policy: policyOfValues(view.values)})),
  )
}

/** The mode of the next refresh. */
function modeNow({values, ...name}: DeclaredView, catalog: ReadonlyMap<string, CatalogView>): RefreshMode {
  if (values.mode !== 'auto') return values.mode
  const view = catalog.get(qualifiedName(name))
  return view ? workingMode(view) : 'standard'
}

const changesOfSchedule = ({schedule, before, keys}: Plan['changedSchedules'][number]): ChangedSchedule => {
  const {timezone, enabled, maxAttempts, cascade, withDependencies, view} = schedule.values
  const {jitter, catchUp, notDuring} = schedule.values
  const has = (key: (typeof keys)[number]) => keys.includes(key)
  return {
    before,
    changes: {
      ...(has('cron') || has('maxAge') ? timingOf(schedule.values) : {}),
      timezone: has('timezone') ? timezone : undefined,
      enabled: has('enabled') ? (enabled ?? undefined) : undefined,
      maxAttempts: has('maxAttempts') ? maxAttempts : undefined,
      isCascade: has('cascade') ? cascade : undefined,
      isWithDependencies: has('withDependencies') ? withDependencies : undefined,
      jitterMs: has('jitter') ? jitter : undefined,
      catchUp: has('catchUp') ? catchUp : undefined,
      notDuring: has('notDuring') ? notDuring : undefined,
    },
    payload: has('view') ? payloadWith(view, before.scope) : undefined,
  }
}

async function createSchedules(db: Database, {newSchedules}: Plan): Promise<void> {
  if (newSchedules.length === 0) return
  const now = await db.session.serverTime()
  const added = await insertSchedules(
    db,
    newSchedules.map((schedule) => {
      const settings = settingsOf(schedule)
      return {...settings, nextRunAt: nextRunWhileEnabled(settings, now)}
    }),
  )
  if (added.length === newSchedules.length) return
  const known = new Set(added.map(({name}) => name))
  const taken = newSchedules.find(({name}) => !known.has(name))
  const isOurs = (await findSchedules(db)).some(({name}) => name === taken?.name)
  throw isOurs || !taken ? new Moved() : scheduleExists(taken.name)
}
