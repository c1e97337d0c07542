import type {CatalogView} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {savePolicy} from '../db/policies.ts'
import {
  deleteRegistration,
  deleteRegistrations,
  insertRegistration,
  updateRefreshMode,
} from '../db/registration-changes.ts'
import {findRegistration, listRegistrations} from '../db/registrations.ts'
import {listSchedulesOfView, listSchedulesOfViews} from '../db/schedules.ts'
import {recognisesViews} from '../db/states/identity.ts'
import {rememberView} from '../db/states/remember.ts'
import {alreadyRegistered, notRegistered, renamedStays} from '../lib/failures/registrations.ts'
import {blockedError} from '../lib/failures/views.ts'
import {qualifiedName, type ViewReference} from '../lib/identifier.ts'
import {isChange, isSatisfied, type PolicyChanges} from '../lib/policies.ts'
import type {
  Registered,
  Registration,
  RegistrationDocument,
  RegistrationsDocument,
} from '../lib/records/registrations.ts'
import type {RefreshMode, RequestedMode, ViewName} from '../lib/records/values.ts'
import {notReady, remediable, type Unworded, type UnwordedBlocker, type Warning} from '../lib/unworded.ts'
import {findConcurrentBlockers} from './catalog.ts'
import {unkeptPromise} from './kept-promise.ts'
import {requireRegistration, requireView} from './lookup.ts'
import {requireChanges} from './refresh/decide.ts'
import {requestedMode, workingMode} from './refresh/mode.ts'
import {requireSettings} from './refresh/required-settings.ts'
import {renamedAmong} from './view-list.ts'

/** How somebody wants a view to be refreshed. */
interface Wishes {
  mode: RequestedMode
  /** Beside the mode. */
  policy?: PolicyChanges
}

/**
 * Registers a materialized view that exists. With `isExistingFine`, a view that is registered already stays
 * as it is.
 * @throws AybError VIEW_NOT_FOUND, ALREADY_REGISTERED; INVALID_ARGUMENT for a setting; PERMISSION_DENIED
 * where the policy has no table
 */
export async function register(
  db: Database,
  name: ViewName,
  {mode, policy = {}}: Wishes,
  {isExistingFine = false} = {},
): Promise<Unworded<Registered>> {
  const view = await requireView(db, name)
  await requireSettings(db, policy.settings)
  if (policy.skipUnchanged) requireChanges(db)
  await db.prepareTables()
  const created = await insert(db, view, {mode, policy})
  const registration = created ?? (await findRegistration(db, name))
  // Unregistered between the two statements: as if this one had come a moment later.
  if (!registration) return register(db, name, {mode, policy}, {isExistingFine})
  if (!created && !isExistingFine) throw alreadyRegistered(registration)
  await rememberView(db, name)
  const warnings: Warning[] = db.takeWarnings()
  const kept = requestedMode(registration, null)
  if (kept !== mode) {
    warnings.push(
      remediable(
        `${qualifiedName(name)} is registered already, and its mode stays ${kept}`,
        'to change that',
        {
          kind: 'set-mode',
          id: registration.id,
          mode,
        },
      ),
    )
  }
  if (!isSatisfied(registration.policy, policy)) {
    warnings.push(
      `${qualifiedName(name)} is registered already, and its settings and limits stay as they are`,
    )
  }
  const [blockers] = kept === 'standard' ? [] : await findConcurrentBlockers(db, [view])
  warnings.push(...modeWarnings(kept, blockers ?? []))
  return {registration, created: created !== null, warnings}
}

/** Adds the registration, and its policy where it needs one; null where the view is registered already. */
async function insert(
  db: Database,
  view: CatalogView,
  {mode, policy}: Required<Wishes>,
): Promise<Registration | null> {
  const working = mode === 'auto' ? workingMode(view) : mode
  const changes = wantedPolicy({mode, policy})
  if (!isChange(changes)) return insertRegistration(db, view, working)
  requirePolicies(db, changes)
  return db.session.transaction(async () => {
    const created = await insertRegistration(db, view, working)
    return created && {...created, policy: await savePolicy(db, created, changes)}
  })
}

/** The policy of a view that has none yet. */
export const wantedPolicy = ({mode, policy = {}}: Wishes): PolicyChanges =>
  mode === 'auto' ? {...policy, mode} : policy

/**
 * Refuses wishes that cannot be stored.
 * @throws AybError PERMISSION_DENIED
 */
export const requirePolicies = (db: Database, {mode}: PolicyChanges): void =>
  db.requireTable('policies', mode === 'auto' ? 'mode auto' : 'a view with settings or limits of its own')

/**
 * Warnings for a view that is registered in a mode before it can be refreshed concurrently. Mode auto fills a
 * view by itself, and needs nothing but the index.
 */
export const modeWarnings = (mode: RequestedMode, blockers: readonly UnwordedBlocker[]): Warning[] =>
  mode === 'auto'
    ? blockers
        .filter(({code}) => code === 'UNIQUE_INDEX_REQUIRED')
        .map((blocker) => notReady(blocker, 'until then, auto means standard mode'))
    : blockers.map((blocker) => notReady(blocker, 'before its first refresh'))

/**
 * Changes how a view is refreshed; what nobody names stays. Concurrent mode is refused while a concurrent
 * refresh could not work; mode auto is kept in the policy of the view.
 * @throws AybError NOT_REGISTERED, VIEW_NOT_FOUND, NOT_POPULATED, UNIQUE_INDEX_REQUIRED; INVALID_ARGUMENT for
 * a setting; PERMISSION_DENIED where the policy has no table
 */
export async function update(
  db: Database,
  reference: ViewReference,
  {mode = null, policy = {}}: {mode?: RequestedMode | null; policy?: PolicyChanges},
): Promise<Unworded<RegistrationDocument>> {
  const before = await requireRegistration(db, reference)
  await requireSettings(db, policy.settings)
  if (policy.skipUnchanged) requireChanges(db)
  const warnings: Warning[] = []
  let working: RefreshMode | null = mode === 'auto' ? 'standard' : mode
  if (mode === 'auto' || mode === 'concurrent') {
    const view = await requireView(db, before)
    const [blockers = []] = await findConcurrentBlockers(db, [view])
    if (mode === 'concurrent' && blockers[0]) throw blockedError(blockers[0])
    if (mode === 'auto') working = workingMode(view)
    warnings.push(...modeWarnings(mode, blockers))
  }
  await db.prepareTables()
  const changes: PolicyChanges = mode === null ? policy : {...policy, mode: mode === 'auto' ? mode : null}
  if (mode === 'auto' || isChange(policy)) requirePolicies(db, changes)
  const registration = await db.session.transaction(async () => {
    const updated = await updateRefreshMode(db, before.id, working)
    if (!updated || isSatisfied(updated.policy, changes)) return updated
    return {...updated, policy: await savePolicy(db, updated, changes)}
  })
  if (!registration) throw notRegistered(before, null)
  const unkept = policy.maxAgeMs == null ? null : await unkeptPromise(db, registration, policy.maxAgeMs)
  if (unkept !== null) warnings.push(unkept)
  return {registration, warnings: [...db.takeWarnings(), ...warnings]}
}

/**
 * Forgets a view, which stays as it is in the database. Its history stays too.
 * @throws AybError NOT_REGISTERED
 */
export async function unregister(
  db: Database,
  reference: ViewReference,
  {isDryRun = false} = {},
): Promise<Unworded<RegistrationDocument>> {
  const registration = await requireRegistration(db, reference)
  if (isDryRun) return unregistered(db, registration)
  await db.prepareTables()
  const removed = await deleteRegistration(db, registration.id)
  if (!removed) throw notRegistered(reference, null)
  return unregistered(db, removed)
}

async function unregistered(
  db: Database,
  registration: Registration,
): Promise<Unworded<RegistrationDocument>> {
  const enabled = (await listSchedulesOfView(db, registration)).filter((schedule) => schedule.enabled)
  const warnings = enabled.map(({name}) =>
    remediable(`the schedule ${name} is enabled and will register the view again`, 'to stop that', {
      kind: 'disable-schedule',
      name,
    }),
  )
  return {registration, warnings: [...db.takeWarnings(), ...warnings]}
}

/**
 * Forgets all views that are gone. A view that was renamed is not gone: its registration stays, with a
 * warning. With `isDryRun`, tells which registrations would go.
 */
export async function unregisterMissing(
  db: Database,
  {isDryRun = false} = {},
): Promise<Unworded<RegistrationsDocument>> {
  const gone = (await listRegistrations(db, null)).filter(({exists}) => !exists)
  const renamed = await renamedAmong(db, gone)
  const kept = new Set(renamed.map(({from}) => qualifiedName(from)))
  const missing = gone
    .filter((registration) => !kept.has(qualifiedName(registration)))
    .map(({exists: _, nextRunAt: __, ...registration}) => registration)
  if (missing.length > 0 && !isDryRun) await db.prepareTables()
  const removed =
    missing.length === 0 || isDryRun
      ? missing
      : await deleteRegistrations(
          db,
          missing.map(({id}) => id),
          {onlyMissing: true},
        )
  const warnings = renamed.map(renamedStays)
  if (removed.length > 0 && !(await recognisesViews(db))) {
    warnings.push(
      'ayb cannot tell whether a missing view was dropped or renamed, and has removed the registrations of all of them',
    )
  }
  const schedules = removed.length === 0 ? [] : await listSchedulesOfViews(db, removed)
  for (const {name, enabled} of schedules) {
    if (!enabled) continue
    warnings.push(
      remediable(`the schedule ${name} is enabled, and fails while its view is gone`, 'to stop that', {
        kind: 'disable-schedule',
        name,
      }),
    )
  }
  return {registrations: removed, warnings: [...db.takeWarnings(), ...warnings]}
}
