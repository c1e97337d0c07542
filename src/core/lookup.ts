// Who is meant: a registration, a view or a schedule, by its id or name. Where there is none, the error tells
// what the name belongs to instead, what the view is called now, or the nearest name.

import {type CatalogView, describeView, findOtherRelation, listNearViewNames} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {findRegistration, listNearRegistrations} from '../db/registrations.ts'
import {findSchedule, listNearScheduleNames} from '../db/schedules.ts'
import {findRenamedViews} from '../db/states/renamed.ts'
import type {AybError} from '../lib/errors.ts'
import {notRegistered, registeredBefore} from '../lib/failures/registrations.ts'
import {scheduleNotFound} from '../lib/failures/schedules.ts'
import {viewNotFound, viewRenamed} from '../lib/failures/views.ts'
import {isUuid, qualifiedName, type ViewReference} from '../lib/identifier.ts'
import {nearest} from '../lib/nearest.ts'
import type {Registration} from '../lib/records/registrations.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import type {ViewName} from '../lib/records/values.ts'

/**
 * The registration of that id or name.
 * @throws AybError NOT_REGISTERED
 */
export async function requireRegistration(db: Database, reference: ViewReference): Promise<Registration> {
  const registration = await findRegistration(db, reference)
  if (!registration) throw await explainUnregistered(db, reference)
  return registration
}

/** The error for an id or a name that no registration has. */
export async function explainUnregistered(db: Database, reference: ViewReference): Promise<AybError> {
  if ('id' in reference) return notRegistered(reference, null)
  const [renamed] = await findRenamedViews(db, {to: reference})
  if (renamed) return registeredBefore(renamed)
  const near = nearestName(reference, await listNearRegistrations(db, reference))
  const isView = near === null || (await describeView(db, reference)) !== null
  return notRegistered(reference, near, {isView})
}

/**
 * The view as the catalogs have it.
 * @throws AybError VIEW_NOT_FOUND, which tells what the name belongs to instead, what the view is called now,
 * or what is near it
 */
export async function requireView(db: Database, name: ViewName): Promise<CatalogView> {
  const view = await describeView(db, name)
  if (!view) throw await explainMissingView(db, name)
  return view
}

/** The error for a name that is no materialized view's. */
export async function explainMissingView(db: Database, name: ViewName): Promise<AybError> {
  const other = await findOtherRelation(db.session, name)
  const [renamed] = await findRenamedViews(db, {from: name})
  if (renamed) return viewRenamed(renamed, other)
  const views = await listNearViewNames(db.session, name)
  return viewNotFound(name, other, nearestName(name, views))
}

/**
 * The schedule of that id or name.
 * @throws AybError SCHEDULE_NOT_FOUND
 */
export async function requireSchedule(db: Database, reference: string): Promise<Schedule> {
  const schedule = await findSchedule(db, isUuid(reference) ? {id: reference} : {name: reference})
  if (schedule) return schedule
  throw scheduleNotFound(reference, nearest(reference, await listNearScheduleNames(db, reference)))
}

/**
 * Among names, the one that somebody most likely meant: the same view elsewhere first, then a similar
 * spelling.
 */
export function nearestName(name: ViewName, names: readonly ViewName[]): string | null {
  const elsewhere = names.find(
    (candidate) =>
      candidate.viewName.toLowerCase() === name.viewName.toLowerCase() &&
      (candidate.viewName !== name.viewName || candidate.schemaName !== name.schemaName),
  )
  if (elsewhere) return qualifiedName(elsewhere)
  // Within one schema its name says nothing: only the views' own names are compared.
  const neighbours = names.filter((candidate) => candidate.schemaName === name.schemaName)
  const neighbour = nearest(
    name.viewName,
    neighbours.map(({viewName}) => viewName),
  )
  if (neighbour !== null) return qualifiedName({...name, viewName: neighbour})
  const others = names.filter((candidate) => candidate.schemaName !== name.schemaName)
  return nearest(qualifiedName(name), others.map(qualifiedName))
}
