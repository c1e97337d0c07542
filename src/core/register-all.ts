import {type CatalogView, listViews} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {savePolicies} from '../db/policies.ts'
import {insertRegistrations} from '../db/registration-changes.ts'
import {listRegistrations} from '../db/registrations.ts'
import {rememberViews} from '../db/states/remember.ts'
import {findRenamedViews} from '../db/states/renamed.ts'
import {type AybError, invalidIdentifier, isAybError} from '../lib/errors.ts'
import {registeredBefore} from '../lib/failures/registrations.ts'
import {viewNotFound} from '../lib/failures/views.ts'
import {isStorableIdentifier, qualifiedName} from '../lib/identifier.ts'
import {isChange, type PolicyChanges} from '../lib/policies.ts'
import type {RegisteredViews, Registration} from '../lib/records/registrations.ts'
import {REFRESH_MODES, type RequestedMode, type ViewName} from '../lib/records/values.ts'
import {shortList} from '../lib/short-list.ts'
import {remediable, type Unworded, type Warning} from '../lib/unworded.ts'
import {findConcurrentBlockers} from './catalog.ts'
import {requireChanges} from './refresh/decide.ts'
import {requestedMode, workingMode} from './refresh/mode.ts'
import {requireSettings} from './refresh/required-settings.ts'
import {modeWarnings, requirePolicies, wantedPolicy} from './registrations.ts'

/** A view that could not be registered, and why. */
interface RefusedView {
  view: ViewName
  error: AybError
}

export interface RegisterAllOptions {
  /** Null for all schemas. */
  schemaName: string | null
  mode: RequestedMode
  /** Beside the mode. */
  policy: PolicyChanges
  /** Whether somebody named the mode, and wants to hear of views that stay in another one. */
  isModeWanted: boolean
}

/** What registerAll did: its errors are not in the words of a surface yet. */
export interface RegisteredAll extends Unworded<Omit<RegisteredViews, 'refused'>> {
  refused: RefusedView[]
}

/**
 * Registers all materialized views, or those of one schema. Views that are registered already stay as they
 * are.
 */
export async function registerAll(
  db: Database,
  {schemaName, mode, policy, isModeWanted}: RegisterAllOptions,
): Promise<RegisteredAll> {
  await requireSettings(db, policy.settings)
  if (policy.skipUnchanged) requireChanges(db)
  const views = (await listViews(db)).filter((view) => schemaName === null || view.schemaName === schemaName)
  if (views.length === 0) return {registered: [], existing: [], refused: [], warnings: db.takeWarnings()}
  await db.prepareTables()
  const {fit, refused} = await sift(db, views)
  const registered = await insert(db, fit, {mode, policy}, refused)
  await rememberViews(db, registered)
  const isNew = new Set(registered.map(qualifiedName))
  const isOfView = new Set(views.map(qualifiedName))
  const existing = (await listRegistrations(db, schemaName))
    .filter((entry) => isOfView.has(qualifiedName(entry)) && !isNew.has(qualifiedName(entry)))
    .map(({exists: _, nextRunAt: __, ...registration}): Registration => registration)
  const isKnown = new Set([...registered, ...existing, ...refused.map(({view}) => view)].map(qualifiedName))
  for (const view of fit) {
    if (!isKnown.has(qualifiedName(view))) refused.push({view, error: viewNotFound(view, null, null)})
  }
  const warnings = [
    ...db.takeWarnings(),
    ...(isModeWanted ? warnOfOtherMode(existing, mode) : []),
    ...(await warnOfMode(db, views, isNew, mode)),
  ]
  return {registered, existing, refused, warnings}
}

/** Tells the views that can be registered from those that cannot. Views with a registration are neither. */
async function sift(db: Database, views: readonly CatalogView[]) {
  const renamed = new Map((await findRenamedViews(db)).map((pair) => [qualifiedName(pair.to), pair]))
  const fit: CatalogView[] = []
  const refused: RefusedView[] = []
  for (const view of views) {
    const before = renamed.get(qualifiedName(view))
    if (view.registered) continue
    if (before) refused.push({view, error: registeredBefore(before)})
    else if (isStorableIdentifier(view.schemaName) && isStorableIdentifier(view.viewName)) fit.push(view)
    else refused.push({view, error: invalidName(view)})
  }
  return {fit, refused}
}

const invalidName = (view: ViewName): AybError =>
  invalidIdentifier('view name', qualifiedName(view), {
    hint: 'it has a control character: rename the view, or its schema',
  })

/** Registers the views with one statement; where it is refused, one by one. */
async function insert(
  db: Database,
  views: readonly CatalogView[],
  {mode, policy}: Pick<RegisterAllOptions, 'mode' | 'policy'>,
  refused: RefusedView[],
): Promise<Registration[]> {
  const changes = wantedPolicy({mode, policy})
  if (isChange(changes)) requirePolicies(db, changes)
  const add = (some: readonly CatalogView[]) =>
    isChange(changes)
      ? db.session.transaction(() => addWithPolicy(db, some, {mode, changes}))
      : addInMode(db, some, mode)
  try {
    return await add(views)
  } catch (error) {
    if (!isAybError(error, 'INVALID_IDENTIFIER')) throw error
  }
  const registered: Registration[] = []
  for (const view of views) {
    try {
      registered.push(...(await add([view])))
    } catch (error) {
      if (!isAybError(error, 'INVALID_IDENTIFIER')) throw error
      refused.push({view, error})
    }
  }
  return registered
}

function warnOfOtherMode(existing: readonly Registration[], mode: RequestedMode): Warning[] {
  const modeOf = (registration: Registration) => requestedMode(registration, null)
  const others = existing.filter((registration) => modeOf(registration) !== mode)
  const [first] = others
  if (!first) return []
  const isOne = others.length === 1
  const isSame = others.every((registration) => modeOf(registration) === modeOf(first))
  const whose = isOne ? 'its' : 'their'
  const kept = isSame ? `${whose} mode stays ${modeOf(first)}` : 'their modes stay as they are'
  return [
    remediable(
      `${shortList(others.map(qualifiedName))} ${isOne ? 'is' : 'are'} registered already, and ${kept}`,
      isOne ? 'to change that' : 'to change that, for each view',
      {kind: 'set-mode', id: isOne ? first.id : null, mode},
    ),
  ]
}

async function addWithPolicy(
  db: Database,
  views: readonly CatalogView[],
  {mode, changes}: {mode: RequestedMode; changes: PolicyChanges},
): Promise<Registration[]> {
  const registered = await addInMode(db, views, mode)
  const policies = await savePolicies(db, registered, changes)
  return registered.map((added) => ({...added, policy: policies.get(qualifiedName(added)) ?? null}))
}

/** Registers views; in mode auto, each in the mode that auto means for it now. Returns them by name. */
async function addInMode(
  db: Database,
  views: readonly CatalogView[],
  requested: RequestedMode,
): Promise<Registration[]> {
  if (requested !== 'auto') return insertRegistrations(db, views, requested)
  const registered: Registration[] = []
  for (const mode of REFRESH_MODES) {
    const suited = views.filter((view) => workingMode(view) === mode)
    registered.push(...(await insertRegistrations(db, suited, mode)))
  }
  return registered.sort(byName)
}

const byName = (a: ViewName, b: ViewName): number =>
  a.schemaName < b.schemaName || (a.schemaName === b.schemaName && a.viewName < b.viewName) ? -1 : 1

async function warnOfMode(
  db: Database,
  views: readonly CatalogView[],
  isNew: ReadonlySet<string>,
  mode: RequestedMode,
): Promise<Warning[]> {
  if (mode === 'standard') return []
  const blockers = await findConcurrentBlockers(
    db,
    views.filter((view) => isNew.has(qualifiedName(view))),
  )
  return blockers.flatMap((found) => modeWarnings(mode, found))
}
