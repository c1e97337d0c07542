import {type CatalogView, describeView} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {moveRegistration} from '../db/states/relink.ts'
import {isRememberedAs} from '../db/states/renamed.ts'
import {nameUnchanged, notRegistered} from '../lib/failures/registrations.ts'
import {qualifiedName, type ViewReference} from '../lib/identifier.ts'
import type {Registration, Relinked} from '../lib/records/registrations.ts'
import type {ViewName} from '../lib/records/values.ts'
import {notReady, type Unworded, type Warning} from '../lib/unworded.ts'
import {findConcurrentBlockers} from './catalog.ts'
import {requireRegistration, requireView} from './lookup.ts'

/**
 * Has a registration stand for the view of another name from now on: its schedules, its queued and failed
 * jobs and its history move there. Jobs that are running stay as they are.
 * @throws AybError NOT_REGISTERED, VIEW_NOT_FOUND, ALREADY_REGISTERED, INVALID_IDENTIFIER
 */
export async function relink(
  db: Database,
  reference: ViewReference,
  to: ViewName,
): Promise<Unworded<Relinked>> {
  const before = await requireRegistration(db, reference)
  const view = await requireView(db, to)
  if (qualifiedName(before) === qualifiedName(to)) throw nameUnchanged(to)
  await db.prepareTables()
  const doubts = await doubtsAbout(db, before, view)
  const moved = await moveRegistration(db, before, to)
  if (!moved) throw notRegistered(reference, null)
  const {registration, schedules, runningJobs} = moved
  const warnings: Warning[] = [...db.takeWarnings(), ...doubts]
  if (runningJobs > 0) {
    const jobs = runningJobs === 1 ? 'a running job keeps' : `${runningJobs} running jobs keep`
    warnings.push(`${jobs} the name ${qualifiedName(before)}`)
  }
  if (registration.refreshMode === 'concurrent') {
    const [blockers] = await findConcurrentBlockers(db, [view])
    for (const blocker of blockers ?? []) warnings.push(notReady(blocker, 'before its next refresh'))
  }
  const {schemaName, viewName} = before
  return {registration, previous: {schemaName, viewName}, schedules, warnings}
}

/** A warning if the two names do not seem to belong to one view. */
async function doubtsAbout(db: Database, before: Registration, view: CatalogView): Promise<string[]> {
  const [from, to] = [before, view].map(qualifiedName)
  if (await describeView(db, before)) return [`${from} is still there, and is no longer registered`]
  const isSame = await isRememberedAs(db, before, view.oid)
  if (isSame) return []
  return [
    isSame === null
      ? `ayb cannot tell whether ${to} is the view that ${from} was`
      : `${to} is not the view that ${from} was, but another one`,
  ]
}
