import {type ConcurrentFitness, findConcurrentFitness} from '../../db/catalog.ts'
import type {Database} from '../../db/database.ts'
import {noteWorkingMode} from '../../db/registration-changes.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {RefreshMode, RequestedMode, ViewName} from '../../lib/records/values.ts'

/** The mode of a refresh, once it is decided. */
export interface ChosenMode {
  mode: RefreshMode
  /** Why mode auto means standard, for a person and for the history; null where it does not. */
  fallback: {message: string; reason: string} | null
  /** The mode that suits the view after a success; null where nobody asked for auto. */
  modeBehind: RefreshMode | null
}

/**
 * The requested mode: the mode for this refresh, else the mode in the policy of the view, else the mode of
 * its registration.
 */
export const requestedMode = (
  {refreshMode, policy}: Pick<RefreshTarget, 'refreshMode' | 'policy'>,
  forThisOnce: RequestedMode | null,
): RequestedMode => forThisOnce ?? policy?.mode ?? refreshMode

/** The mode that auto means for a view as it is now: concurrent where that works. */
export const workingMode = ({populated, hasUniqueIndex}: ConcurrentFitness): RefreshMode =>
  populated && hasUniqueIndex ? 'concurrent' : 'standard'

/** Decides what a requested mode means. Looks at the view only for auto. */
export async function chooseMode(
  db: Database,
  view: RefreshTarget,
  requested: RequestedMode,
): Promise<ChosenMode> {
  if (requested !== 'auto') return {mode: requested, fallback: null, modeBehind: null}
  const [fitness] = await findConcurrentFitness(db.session, [view])
  // REFRESH says what is wrong where the view is gone.
  if (!fitness) return {mode: 'standard', fallback: null, modeBehind: null}
  return {
    mode: workingMode(fitness),
    fallback: fallbackOf(view, fitness),
    modeBehind: fitness.hasUniqueIndex ? 'concurrent' : 'standard',
  }
}

function fallbackOf(view: ViewName, {populated, hasUniqueIndex}: ConcurrentFitness): ChosenMode['fallback'] {
  const because = (cause: string, reason: string) => ({
    message: `${qualifiedName(view)} is refreshed in standard mode, since it ${cause}`,
    reason: `auto: ${reason}`,
  })
  if (!hasUniqueIndex) {
    return because('has no unique index that a concurrent refresh can use', 'no unique index')
  }
  return populated ? null : because('holds no data yet', 'no data yet')
}

/**
 * Writes down the mode that works for a view whose policy says auto, where that has changed. Returns the
 * mode; null where nothing was written.
 */
export async function noteModeBehind(
  db: Database,
  {id, refreshMode, policy}: RefreshTarget,
  modeBehind: RefreshMode | null,
): Promise<RefreshMode | null> {
  if (modeBehind === null || policy?.mode !== 'auto' || modeBehind === refreshMode) return null
  // What cannot be written now is written behind the next refresh.
  const isNoted = await noteWorkingMode(db, id, modeBehind).catch(() => false)
  return isNoted ? modeBehind : null
}
