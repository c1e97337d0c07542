import {describeViews} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {readDefinition} from '../db/definitions.ts'
import * as registrations from '../db/registrations.ts'
import {listRecentRuns, listRuns, type RunFilter} from '../db/runs.ts'
import {listSchedulesOfView} from '../db/schedules.ts'
import {findRenamedViews} from '../db/states/renamed.ts'
import {notRegistered, renamedWarning} from '../lib/failures/registrations.ts'
import type {ViewReference} from '../lib/identifier.ts'
import type {RegistrationDetails} from '../lib/records/registrations.ts'
import type {Run} from '../lib/records/runs.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {ViewDefinition} from '../lib/records/views.ts'
import type {Unworded, UnwordedView, Warning} from '../lib/unworded.ts'
import {toViews} from './catalog.ts'
import {freshnessOf, judgeOne, runningNow} from './freshness/judged.ts'
import {explainMissingView, explainUnregistered, requireRegistration} from './lookup.ts'

const RECENT_RUNS = 10

/**
 * One registration with its view, its schedules and its last runs.
 * @throws AybError NOT_REGISTERED
 */
export async function show(
  db: Database,
  reference: ViewReference,
): Promise<Unworded<Omit<RegistrationDetails, 'view'>> & {view: UnwordedView | null}> {
  const found = await requireRegistration(db, reference)
  const [view] = await toViews(db, await describeViews(db, found))
  const recentRuns = await listRuns(db, found, {limit: RECENT_RUNS})
  const schedules = await listSchedulesOfView(db, found)
  const renamed = view ? [] : await findRenamedViews(db, {from: found})
  const warnings: Warning[] = renamed.map(renamedWarning)
  const {views} = await judgeOne(db, found)
  const judged = views.find(({facts}) => facts.id === found.id)
  // Unregistered since.
  if (!judged) throw notRegistered(reference, null)
  const running = await runningNow(db, (warning) => warnings.push(warning))
  const registration = {...found, ...freshnessOf(judged, running)}
  warnings.unshift(...db.takeWarnings())
  return {registration, view: view ?? null, schedules, recentRuns, warnings}
}

/** All materialized views of the database, registered or not. */
export async function discover(db: Database): Promise<UnwordedView[]> {
  return toViews(db, await describeViews(db))
}

/**
 * One materialized view of the database, registered or not.
 * @throws AybError VIEW_NOT_FOUND
 */
export async function discoverOne(db: Database, name: ViewName): Promise<UnwordedView> {
  const [view] = await toViews(db, await describeViews(db, name))
  if (!view) throw await explainMissingView(db, name)
  return view
}

/**
 * The newest runs, newest first; those of a view that was unregistered too, by its name.
 * @throws AybError NOT_REGISTERED
 */
export async function history(db: Database, reference: ViewReference, filter: RunFilter): Promise<Run[]> {
  const registration = await registrations.findRegistration(db, reference)
  if (registration) return listRuns(db, registration, filter)
  const isKnown = !('id' in reference) && (await listRuns(db, reference, {limit: 1})).length > 0
  if (!isKnown) throw await explainUnregistered(db, reference)
  return listRuns(db, reference, filter)
}

/** The newest runs of registrations, newest first, by their ids. */
export const recentRuns = listRecentRuns

/**
 * The query and the indexes of a registered view.
 * @throws AybError NOT_REGISTERED, VIEW_NOT_FOUND
 */
export async function definition(db: Database, reference: ViewReference): Promise<ViewDefinition> {
  const registration = await requireRegistration(db, reference)
  const found = await readDefinition(db, registration)
  if (!found) throw await explainMissingView(db, registration)
  return found
}
