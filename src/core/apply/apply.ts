import type {CatalogView} from '../../db/catalog.ts'
import type {Database} from '../../db/database.ts'
import {takeApplyLock} from '../../db/declared.ts'
import {writePolicies} from '../../db/policies.ts'
import {
  deleteRegistrations,
  insertRegistrations,
  lockRegistrations,
  updateRefreshModes,
} from '../../db/registration-changes.ts'
import {insertSchedules, lockSchedules} from '../../db/schedule-changes.ts'
import {findSchedules} from '../../db/schedules.ts'
import {rememberViews} from '../../db/states/remember.ts'
import {AybError} from '../../lib/errors.ts'
import {scheduleExists} from '../../lib/failures/schedules.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {jobScope, payloadOf} from '../../lib/payload.ts'
import type {DeclaredChange, DeclaredChanges} from '../../lib/records/declarations.ts'
import {REFRESH_MODES, type RefreshMode} from '../../lib/records/values.ts'
import type {Unworded, Warning} from '../../lib/unworded.ts'
import {workingMode} from '../refresh/mode.ts'
import {requirePolicies} from '../registrations.ts'
import {changeSchedule, nextRunOf, removeSchedule, requireSets} from '../schedules.ts'
import {type CheckedPlan, checkPlan} from './checks.ts'
import type {DeclaredFile} from './declarations.ts'
import {changesOf, makePlan, type Plan} from './plan.ts'
import {readViewName} from './values.ts'
import {type DeclaredView, policyOfValues} from './views.ts'

/** How a file is to be applied. */
export interface ApplyOptions {
  /** Whether to remove what is not in the file. */
  isPruning?: boolean
  /** Asks a person before something is removed; null where nobody is asked. */
  confirm?: ((changes: readonly DeclaredChange[]) => Promise<boolean>) | null
}

/**
 * What apply would change. Changes nothing.
 * @throws FileProblems
 */
export async function compare(
  db: Database,
  file: DeclaredFile,
  {isPruning = false}: Pick<ApplyOptions, 'isPruning'> = {},
): Promise<Unworded<DeclaredChanges>> {
  const plan = await makePlan(db, file)
  const {warnings} = await checkPlan(db, plan, {triesSettings: true})
  return {
    changes: changesOf(plan, {isPruning}),
    applied: false,
    warnings: [...db.takeWarnings(), ...warnings],
  }
}

/** The state changed while a transaction looked at it. */
class Moved extends Error {}

const MOST_ATTEMPTS = 5

/**
 * Changes the database so that it matches the file. One transaction makes all changes, or none. What the file
 * does not name stays, unless `isPruning`.
 * @throws FileProblems; AybError PERMISSION_DENIED where something has no table, SCHEDULE_EXISTS where a
 * schedule of another program has the name, TRY_AGAIN where others change the same all the time
 */
export async function apply(
  db: Database,
  file: DeclaredFile,
  {isPruning = false, confirm = null}: ApplyOptions = {},
): Promise<Unworded<DeclaredChanges>> {
  const looked = await compare(db, file, {isPruning})
  const removed = looked.changes.filter(({action}) => action === 'delete')
  if (looked.changes.length === 0) return {...looked, applied: true}
  if (removed.length > 0 && confirm && !(await confirm(looked.changes))) return looked
  await db.prepareTables()
  const mayGo = new Set(removed.map(({kind, name}) => `${kind} ${name}`))
  for (let attempt = 1; ; attempt++) {
    try {
      const {changes, created, warnings} = await db.session.transaction(() => applyOnce(db, file, mayGo))
      await rememberViews(db, created)
      return {changes, applied: true, warnings: [...db.takeWarnings(), ...warnings]}
    } catch (error) {
      if (!(error instanceof Moved)) throw error
      if (attempt === MOST_ATTEMPTS) {
        throw new AybError('TRY_AGAIN', 'other programs changed the same views or schedules all the time', {
          hint: 'nothing was changed; try again',
          cause: error,
        })
      }
    }
  }
}

async function applyOnce(
  db: Database,
  file: DeclaredFile,
  mayGo: ReadonlySet<string>,
): Promise<{changes: DeclaredChange[]; created: DeclaredView[]; warnings: Warning[]}> {
  await takeApplyLock(db)
  const plan = await lockedPlan(db, file, mayGo)
  const {catalog, warnings} = await checkPlan(db, plan, {triesSettings: false})
  requireTables(db, plan)
  await removeOthers(db, plan)
  await registerViews(db, plan, catalog)
  await changeViews(db, plan, catalog)
  await changeSchedules(db, plan)
  await createSchedules(db, plan)
  return {changes: changesOf(plan, {isPruning: true}), created: plan.newViews, warnings}
}

/**
 * The plan, while the transaction holds the rows that it changes.
 * @throws Moved where they changed before they were held
 */
async function lockedPlan(db: Database, file: DeclaredFile, mayGo: ReadonlySet<string>): Promise<Plan> {
  const before = onlyGoing(await makePlan(db, file), mayGo)
  const registrations = [...before.changedViews.map(({registration}) => registration), ...before.otherViews]
  const schedules = [...before.changedSchedules.map((changed) => changed.before), ...before.otherSchedules]
  if (registrations.length === 0 && schedules.length === 0) return before
  await lockRegistrations(
    db,
    registrations.map(({id}) => id),
  )
  await lockSchedules(
    db,
    schedules.map(({id}) => id),
  )
  const plan = onlyGoing(await makePlan(db, file), mayGo)
  const held = new Set([...registrations, ...schedules].map(({id}) => id))
  const needed = [
    ...plan.changedViews.map(({registration}) => registration),
    ...plan.otherViews,
    ...plan.changedSchedules.map((changed) => changed.before),
    ...plan.otherSchedules,
  ]
  if (needed.some(({id}) => !held.has(id))) throw new Moved()
  return plan
}

/** The plan without what nobody agreed to remove. */
const onlyGoing = (plan: Plan, mayGo: ReadonlySet<string>): Plan => ({
  ...plan,
  otherViews: plan.otherViews.filter((registration) => mayGo.has(`view ${qualifiedName(registration)}`)),
  otherSchedules: plan.otherSchedules.filter(({name}) => mayGo.has(`schedule ${name}`)),
})

/** @throws AybError PERMISSION_DENIED */
function requireTables(db: Database, {newViews, changedViews, newSchedules, changedSchedules}: Plan): void {
  const views = [...newViews, ...changedViews.map(({view}) => view)]
  const demanding = views.map(({values}) => policyOfValues(values)).find(asksForSomething)
  if (demanding) requirePolicies(db, {mode: demanding.mode ?? null})
  const schedules = [...newSchedules, ...changedSchedules.map(({schedule}) => schedule)]
  if (schedules.some(({values}) => values.cascade || values.withDependencies)) requireSets(db)
}

const asksForSomething = ({settings, ...others}: ReturnType<typeof policyOfValues>): boolean =>
  Object.keys(settings).length > 0 || Object.values(others).some((value) => value !== null && value !== false)

async function removeOthers(db: Database, {otherViews, otherSchedules}: Plan): Promise<void> {
  for (const {id} of otherSchedules) await removeSchedule(db, id)
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

async function changeSchedules(db: Database, {changedSchedules}: Plan): Promise<void> {
  for (const {schedule, before, keys} of changedSchedules) {
    const {cron, timezone, enabled, maxAttempts, cascade, withDependencies, view} = schedule.values
    const has = (key: (typeof keys)[number]) => keys.includes(key)
    await changeSchedule(
      db,
      before,
      {
        cron: has('cron') ? cron : undefined,
        timezone: has('timezone') ? timezone : undefined,
        enabled: has('enabled') ? (enabled ?? undefined) : undefined,
        maxAttempts: has('maxAttempts') ? maxAttempts : undefined,
        isCascade: has('cascade') ? cascade : undefined,
        isWithDependencies: has('withDependencies') ? withDependencies : undefined,
      },
      has('view') ? payloadWith(view, before.scope) : undefined,
    )
  }
}

async function createSchedules(db: Database, {newSchedules}: Plan): Promise<void> {
  if (newSchedules.length === 0) return
  const now = await db.session.serverTime()
  const added = await insertSchedules(
    db,
    newSchedules.map(({name, values}) => {
      const {cron: cronExpr, timezone, maxAttempts, cascade, withDependencies} = values
      const timing = {cronExpr, timezone, enabled: values.enabled ?? true}
      const scope = jobScope({isCascade: cascade, isWithDependencies: withDependencies})
      return {
        name,
        payload: payloadWith(values.view, scope),
        ...timing,
        maxAttempts,
        nextRunAt: nextRunOf(timing, now),
      }
    }),
  )
  if (added.length === newSchedules.length) return
  const known = new Set(added.map(({name}) => name))
  const taken = newSchedules.find(({name}) => !known.has(name))
  const isOurs = (await findSchedules(db)).some(({name}) => name === taken?.name)
  throw isOurs || !taken ? new Moved() : scheduleExists(taken.name)
}

const payloadWith = (view: string, scope: ReturnType<typeof jobScope>) => ({
  ...payloadOf(readViewName(view)),
  ...(scope === null ? {} : {scope}),
})
