import type {Database} from '../../db/database.ts'
import {applyingAlone} from '../../db/declared.ts'
import {lockRegistrations} from '../../db/registration-changes.ts'
import {lockSchedules} from '../../db/schedule-changes.ts'
import {rememberViews} from '../../db/states/remember.ts'
import {AybError, isAybError} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {DeclaredChange, DeclaredChanges} from '../../lib/records/declarations.ts'
import type {Unworded, Warning} from '../../lib/unworded.ts'
import {checkPlan} from './checks.ts'
import type {DeclaredFile} from './declarations.ts'
import {Moved, makeChanges, requireTables} from './make-changes.ts'
import {changesOf, makePlan, type Plan} from './plan.ts'
import type {DeclaredView} from './views.ts'

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
  return documentOf(db, await makePlan(db, file), {isPruning})
}

async function documentOf(
  db: Database,
  plan: Plan,
  {isPruning}: {isPruning: boolean},
): Promise<Unworded<DeclaredChanges>> {
  const {warnings} = await checkPlan(db, plan, {triesSettings: true})
  return {
    changes: changesOf(plan, {isPruning}),
    applied: false,
    warnings: [...db.takeWarnings(), ...warnings, ...(await foreseeRefusal(db, plan))],
  }
}

/** A warning where a plan would be refused: a table is missing, and the role may not create the table. */
async function foreseeRefusal(db: Database, plan: Plan): Promise<Warning[]> {
  if (await db.couldPrepareTables()) return []
  try {
    requireTables(db, plan)
    return []
  } catch (error) {
    if (!isAybError(error, 'PERMISSION_DENIED')) throw error
    const {message, hint, remedy} = error
    return [{message: `these changes would be refused: ${message}`, lead: null, hint, remedy}]
  }
}

const MOST_ATTEMPTS = 5

/**
 * Changes the database so that it matches the file. One transaction makes all changes, or none. What the file
 * does not name stays, unless `isPruning`.
 * @throws FileProblems; AybError PERMISSION_DENIED where something has no table, SCHEDULE_EXISTS where a
 * schedule of another program has the name, TRY_AGAIN where others change the same all the time, TIMEOUT
 * where another session holds a lock for long
 */
export async function apply(
  db: Database,
  file: DeclaredFile,
  {isPruning = false, confirm = null}: ApplyOptions = {},
): Promise<Unworded<DeclaredChanges>> {
  const seen = await makePlan(db, file)
  const looked = await documentOf(db, seen, {isPruning})
  const removed = looked.changes.filter(({action}) => action === 'delete')
  if (looked.changes.length === 0) return {...looked, applied: true}
  if (removed.length > 0 && confirm && !(await confirm(looked.changes))) return looked
  await db.prepareTables()
  const mayGo = new Set(removed.map(({kind, name}) => `${kind} ${name}`))
  for (let attempt = 1; ; attempt++) {
    try {
      const {changes, created, warnings} = await applyingAlone(db, async () =>
        applyOnce(db, file, mayGo, attempt === 1 ? seen : await makePlan(db, file)),
      )
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
  seen: Plan,
): Promise<{changes: DeclaredChange[]; created: DeclaredView[]; warnings: Warning[]}> {
  const plan = await lockedPlan(db, file, mayGo, seen)
  const {catalog, warnings} = await checkPlan(db, plan, {triesSettings: false})
  await makeChanges(db, plan, catalog)
  return {changes: changesOf(plan, {isPruning: true}), created: plan.newViews, warnings}
}

/**
 * The plan, while the transaction holds the rows that it changes. `seen` is a plan from before, whose rows
 * are held first.
 * @throws Moved where the plan is about other rows by now
 */
async function lockedPlan(
  db: Database,
  file: DeclaredFile,
  mayGo: ReadonlySet<string>,
  seen: Plan,
): Promise<Plan> {
  const before = onlyGoing(seen, mayGo)
  const registrations = [...before.changedViews.map(({registration}) => registration), ...before.otherViews]
  const schedules = [...before.changedSchedules.map((changed) => changed.before), ...before.otherSchedules]
  if (registrations.length > 0)
    await lockRegistrations(
      db,
      registrations.map(({id}) => id),
    )
  if (schedules.length > 0)
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
