import {type CatalogView, listViews} from '../../db/catalog.ts'
import type {Database} from '../../db/database.ts'
import {trySettings} from '../../db/refresh/postgres-settings.ts'
import {findRenamedViews} from '../../db/states/renamed.ts'
import {type AybError, isAybError} from '../../lib/errors.ts'
import {registeredBefore} from '../../lib/failures/registrations.ts'
import {settingRefused} from '../../lib/failures/settings.ts'
import {blockedError, viewNotFound} from '../../lib/failures/views.ts'
import {Problems} from '../../lib/file-problems.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {distinct, type Warning} from '../../lib/unworded.ts'
import {findConcurrentBlockers} from '../catalog.ts'
import {explainMissingView} from '../lookup.ts'
import {requireChanges} from '../refresh/decide.ts'
import {modeWarnings} from '../registrations.ts'
import {scheduleProspects} from '../schedule-prospects.ts'
import type {Plan} from './plan.ts'
import {settingsOf} from './schedule-settings.ts'
import {type DeclaredView, placeOfKey, type ViewValues} from './views.ts'
import type {KeyPlace} from './yaml-file.ts'

/** A search for similar names takes a few statements, so only so many names get one. */
const MOST_EXPLAINED = 20

/** What a plan needs of the database, and what there is to say about it. */
export interface CheckedPlan {
  /** The materialized views of the database by their names. */
  catalog: Map<string, CatalogView>
  warnings: Warning[]
}

/**
 * Looks whether a plan can be carried out: all that stands against it is said at once. The server tries the
 * settings unless that is done: a refused one would end an open transaction.
 * @throws FileProblems
 */
export async function checkPlan(
  db: Database,
  plan: Plan,
  {triesSettings}: {triesSettings: boolean},
): Promise<CheckedPlan> {
  const problems = new Problems()
  const catalog = new Map((await listViews(db)).map((view) => [qualifiedName(view), view]))
  await findMissing(db, plan, catalog, problems)
  const warnings = await checkModes(db, plan, catalog, problems)
  checkSkips(db, plan, problems)
  warnings.push(...(await warnOfSchedules(db, plan, catalog)))
  if (triesSettings) await checkSettings(db, plan, problems)
  problems.throwAny()
  return {catalog, warnings: distinct(warnings)}
}

/** Views that are to be registered, or to get another mode, and are not there. */
async function findMissing(
  db: Database,
  {newViews, changedViews}: Plan,
  catalog: CheckedPlan['catalog'],
  problems: Problems,
): Promise<void> {
  const renamed = new Map((await findRenamedViews(db)).map((pair) => [qualifiedName(pair.to), pair]))
  const moded = changedViews.filter(
    ({view, keys}) => keys.includes('mode') && view.values.mode !== 'standard',
  )
  let explained = 0
  for (const view of [...newViews, ...moded.map((changed) => changed.view)]) {
    const name = qualifiedName(view)
    if (problems.isFull) return
    const before = renamed.get(name)
    if (before) addProblem(problems, view.entry, registeredBefore(before))
    else if (!catalog.has(name)) {
      const isExplained = explained++ < MOST_EXPLAINED
      const bare = {schemaName: view.schemaName, viewName: view.viewName}
      addProblem(
        problems,
        view.entry,
        isExplained ? await explainMissingView(db, bare) : viewNotFound(bare, null, null),
      )
    }
  }
}

const addProblem = (problems: Problems, {place, path}: KeyPlace, error: AybError): void =>
  problems.add(place, path, error)

/**
 * Refuses concurrent mode for a registered view that is not ready for it. A view that is registered now may
 * become ready before its first refresh.
 */
async function checkModes(
  db: Database,
  {newViews, changedViews}: Plan,
  catalog: CheckedPlan['catalog'],
  problems: Problems,
): Promise<Warning[]> {
  const isNew = new Set(newViews)
  const changed = changedViews.filter(({keys}) => keys.includes('mode')).map(({view}) => view)
  const views = [...newViews, ...changed].filter(({values}) => values.mode !== 'standard')
  const found = views.flatMap((view) => {
    const inCatalog = catalog.get(qualifiedName(view))
    return inCatalog ? [{view, inCatalog}] : []
  })
  const blockers = await findConcurrentBlockers(
    db,
    found.map(({inCatalog}) => inCatalog),
  )
  return found.flatMap(({view}, position) => {
    const [first, ...others] = blockers[position] ?? []
    if (!first) return []
    const {mode} = view.values
    if (mode === 'auto' || isNew.has(view)) return modeWarnings(mode, [first, ...others])
    const {path, ...place} = placeOfKey(view, 'mode')
    problems.add(place, path, blockedError(first))
    return []
  })
}

/** Refuses to skip unchanged views where the server cannot tell them. */
function checkSkips(db: Database, {newViews, changedViews}: Plan, problems: Problems): void {
  const changed = changedViews.filter(({keys}) => keys.includes('skipUnchanged')).map(({view}) => view)
  const skipping = [...newViews, ...changed].filter(({values}) => values.skipUnchanged)
  if (skipping.length === 0) return
  try {
    requireChanges(db)
  } catch (error) {
    if (!isAybError(error)) throw error
    const told = new Set<string>()
    for (const view of skipping) addAtKey(problems, told, view, 'skipUnchanged', error)
  }
}

/**
 * Adds a problem at the place of a key, once for each `what`: where the defaults of the file have the key, many
 * views share one place.
 */
function addAtKey(
  problems: Problems,
  told: Set<string>,
  view: DeclaredView,
  key: keyof ViewValues,
  error: AybError,
  what = '',
): void {
  const {path, ...place} = placeOfKey(view, key)
  const at = `${place.line}:${place.column}:${what}`
  if (!told.has(at)) problems.add(place, path, error)
  told.add(at)
}

/** Warns of what will keep schedules from working. Other checks warn of the modes of new views. */
async function warnOfSchedules(
  db: Database,
  {newViews, newSchedules, changedSchedules, modes}: Plan,
  catalog: CheckedPlan['catalog'],
): Promise<Warning[]> {
  const schedules = [
    ...newSchedules.map((schedule) => settingsOf(schedule)),
    ...changedSchedules.map(({schedule, before}) => settingsOf(schedule, {isEnabled: before.enabled})),
  ]
  if (schedules.length === 0) return []
  const isNew = new Set(newViews.map(qualifiedName))
  return scheduleProspects(
    db,
    schedules.map(({policy, ...schedule}) => ({...schedule, jitterMs: policy.jitterMs})),
    {views: catalog, modes: new Map([...modes].filter(([name]) => !isNew.has(name)))},
  )
}

/** Has the server try each new setting, once. */
async function checkSettings(
  db: Database,
  {newViews, changedViews}: Plan,
  problems: Problems,
): Promise<void> {
  const changed = changedViews.filter(({keys}) => keys.includes('set')).map(({view}) => view)
  const users = new Map<string, {name: string; value: string; views: DeclaredView[]}>()
  for (const view of [...newViews, ...changed]) {
    for (const [name, value] of Object.entries(view.values.set)) {
      const known = users.get(`${name}=${value}`)
      if (known) known.views.push(view)
      else users.set(`${name}=${value}`, {name, value, views: [view]})
    }
  }
  const told = new Set<string>()
  for (const {name, value, views} of users.values()) {
    const [refused] = await trySettings(db.session, {[name]: value})
    if (!refused?.error) continue
    const error = settingRefused(refused, refused.error)
    for (const view of views) addAtKey(problems, told, view, 'set', error, name)
  }
}
