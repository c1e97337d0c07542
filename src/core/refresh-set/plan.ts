import {findConcurrentFitness} from '../../db/catalog.ts'
import type {Database} from '../../db/database.ts'
import {readDependencies} from '../../db/dependencies.ts'
import {listRegistrations} from '../../db/registrations.ts'
import {usualDurations} from '../../db/runs.ts'
import {cycleWarning} from '../../lib/failures/views.ts'
import {type Untangled, untangle} from '../../lib/graph.ts'
import {qualifiedName, quoteIfNeeded, type ViewReference} from '../../lib/identifier.ts'
import {nearest} from '../../lib/nearest.ts'
import type {SettingChanges} from '../../lib/postgres-settings.ts'
import type {FoundView} from '../../lib/records/graph.ts'
import type {RefreshPlan} from '../../lib/records/refreshes.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import type {RefreshMode, RequestedMode, ViewName} from '../../lib/records/values.ts'
import {shortList} from '../../lib/short-list.ts'
import {remediable, type Unworded, type Warning} from '../../lib/unworded.ts'
import {requireRegistration} from '../lookup.ts'
import {requestedMode, workingMode} from '../refresh/mode.ts'
import {requireSettings} from '../refresh/required-settings.ts'
import {criticalPath, type Member, type Order, orderMembers, ownMs} from './order.ts'
import {expectedMakespan} from './progress.ts'
import {type Selection, selectMembers} from './selection.ts'

/** Which views somebody wants to be refreshed, and how. */
export interface SetRequest extends Omit<Selection, 'named'> {
  /** No names: all registered views. */
  names: readonly ViewReference[]
  /** The mode for this one refresh of each view; null for the mode of each registration. */
  mode: RequestedMode | null
  /** Settings of Postgres for this one refresh of each view. */
  postgres: SettingChanges
}

/** A set of views in the order in which they are to be refreshed. */
export interface SetPlan {
  members: readonly Member[]
  warnings: Warning[]
}

/** What a set is made from, its names resolved. */
export interface ResolvedSet {
  request: SetRequest
  registrations: readonly Registration[]
  /** Null for all registered views. */
  named: readonly Registration[] | null
}

/**
 * Finds the views that are named, and has the server try the settings.
 * @throws AybError NOT_REGISTERED, INVALID_ARGUMENT
 */
export async function resolveSet(db: Database, request: SetRequest): Promise<ResolvedSet> {
  const registrations = (await listRegistrations(db, null)).map(
    ({exists: _, nextRunAt: __, ...registration}): Registration => registration,
  )
  const {names} = request
  const named = names.length === 0 ? null : await findNamed(db, names, registrations)
  await requireSettings(db, request.postgres)
  return {request, registrations, named}
}

/** Finds the views of a set, and their order. Changes nothing. */
export async function planSet(db: Database, resolved: ResolvedSet): Promise<SetPlan> {
  const {registrations, named, request} = resolved
  const {nodes, edges} = await readDependencies(db)
  const untangled = untangle(edges)
  const members = membersOf(resolved, nodes, untangled)
  const durations = await usualDurations(db, members)
  const modeOf = await modesNow(db, members, request.mode)
  const order = orderMembers(members, untangled, {modeOf, durations})
  const warnings = [
    ...db.takeWarnings(),
    ...warnOfCycles(untangled.cycles, new Set(members.map(qualifiedName))),
    ...warnOfViewsBetween(order, new Set(registrations.map(qualifiedName))),
    ...(named === null ? warnOfViewsLeftOut(request, nodes, registrations) : []),
  ]
  return {members: order.members, warnings}
}

/** The set without a look at the database: for a set that is canceled before its order is known. */
export function planUnseen(resolved: ResolvedSet): SetPlan {
  const untangled = untangle([])
  const members = membersOf(resolved, [], untangled)
  return {
    members: orderMembers(members, untangled, {modeOf: ({refreshMode}) => refreshMode, durations: new Map()})
      .members,
    warnings: [],
  }
}

function membersOf(
  {request: {names: _, mode: __, ...selection}, named, registrations}: ResolvedSet,
  nodes: readonly FoundView[],
  {whole}: Untangled,
): Registration[] {
  const unpopulated = new Set(nodes.filter(({populated}) => !populated).map(qualifiedName))
  return selectMembers({registrations, unpopulated, graph: whole}, {...selection, named})
}

/** The mode in which each view would be refreshed now. */
async function modesNow(
  db: Database,
  registrations: readonly Registration[],
  forThisOnce: RequestedMode | null,
): Promise<(registration: Registration) => RefreshMode> {
  const requestedOf = (registration: Registration) => requestedMode(registration, forThisOnce)
  const auto = registrations.filter((registration) => requestedOf(registration) === 'auto')
  const fitness = auto.length === 0 ? [] : await findConcurrentFitness(db.session, auto)
  const working = new Map(fitness.map((view) => [qualifiedName(view), workingMode(view)]))
  return (registration) => {
    const requested = requestedOf(registration)
    return requested === 'auto' ? (working.get(qualifiedName(registration)) ?? 'standard') : requested
  }
}

/** The registrations of those names; adds to the list what it lacks. */
async function findNamed(
  db: Database,
  names: readonly ViewReference[],
  registrations: Registration[],
): Promise<Registration[]> {
  const byId = new Map(registrations.map((registration) => [registration.id, registration]))
  const byName = new Map(registrations.map((registration) => [qualifiedName(registration), registration]))
  const named: Registration[] = []
  for (const name of names) {
    let found = 'id' in name ? byId.get(name.id) : byName.get(qualifiedName(name))
    if (!found) {
      // Registered since the list was read, or missing.
      found = await requireRegistration(db, name)
      registrations.push(found)
    }
    named.push(found)
  }
  return named
}

function warnOfCycles(cycles: readonly string[][], inSet: ReadonlySet<string>): string[] {
  return cycles.filter((views) => views.some((view) => inSet.has(view))).map(cycleWarning)
}

function warnOfViewsBetween({between}: Order, registered: ReadonlySet<string>): Warning[] {
  const left = between.filter((view) => registered.has(view))
  const unregistered = between.filter((view) => !registered.has(view))
  const warnings: Warning[] = []
  const lie = (views: readonly string[]) =>
    `${shortList(views)} ${views.length === 1 ? 'lies' : 'lie'} between views of this set`
  if (left.length > 0) {
    warnings.push(
      remediable(
        `${lie(left)}, but not in the set, so ayb does not refresh ${itOrThem(left)}: views of this set may hold old data`,
        null,
        {kind: 'name-views-between'},
      ),
    )
  }
  if (unregistered.length > 0) {
    warnings.push(
      remediable(
        `${lie(unregistered)}, but ${unregistered.length === 1 ? 'is' : 'are'} not registered, so ayb does not refresh ${itOrThem(unregistered)}: views of this set may hold old data`,
        null,
        {kind: 'register-all'},
      ),
    )
  }
  return warnings
}

const itOrThem = ({length}: readonly unknown[]): string => (length === 1 ? 'it' : 'them')

/** Warnings of a schema without registered views, and of views that hold no data and are not registered. */
function warnOfViewsLeftOut(
  {schemaName, isUnpopulated}: Pick<Selection, 'schemaName' | 'isUnpopulated'>,
  nodes: readonly FoundView[],
  registrations: readonly Registration[],
): string[] {
  const isMeant = (view: ViewName) => schemaName === null || view.schemaName === schemaName
  const warnings: string[] = []
  if (schemaName !== null && !registrations.some(isMeant)) {
    const guess = nearest(schemaName, [...new Set(registrations.map((view) => view.schemaName))])
    const hint = guess === null ? '' : `; did you mean ${quoteIfNeeded(guess)}?`
    warnings.push(`no registered view is in schema ${quoteIfNeeded(schemaName)}${hint}`)
  }
  const left = nodes.filter((node) => isMeant(node) && !node.populated && !node.registered)
  if (isUnpopulated && left.length > 0) {
    const views = left.length === 1 ? 'view that holds no data is' : 'views that hold no data are'
    warnings.push(`${left.length} materialized ${views} not registered, and not refreshed`)
  }
  return warnings
}

/** What a set would do, for a person to look at. */
export function describePlan(
  {members, warnings}: SetPlan,
  {concurrency}: {concurrency: number},
): Unworded<RefreshPlan> {
  const path = criticalPath(members)
  const unknown = members.filter(({expectedMs}) => expectedMs === null)
  const isKnown = unknown.length < members.length
  const waves: RefreshPlan['waves'] = []
  for (const {wave, registration, mode, expectedMs, parents} of members) {
    const planned = {registration, mode, expectedMs, parents: parents.map(nameOf)}
    const others = waves[wave]
    if (others) others.push(planned)
    else waves[wave] = [planned]
  }
  return {
    waves,
    criticalPath: path.map(nameOf),
    criticalPathMs: isKnown ? (path[0]?.remainingMs ?? null) : null,
    expectedMs: isKnown ? expectedMakespan(members, concurrency, ownMs) : null,
    warnings: isKnown ? [...warnings, ...warnOfUnknown(unknown)] : warnings,
  }
}

const nameOf = ({registration: {schemaName, viewName}}: Member): ViewName => ({schemaName, viewName})

function warnOfUnknown(unknown: readonly Member[]): string[] {
  if (unknown.length === 0) return []
  const views = unknown.length === 1 ? 'view has' : 'views have'
  return [
    `${unknown.length} ${views} no successful refresh in the history: the expected times take the median of the other views`,
  ]
}
