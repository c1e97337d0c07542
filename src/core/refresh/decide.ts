import type {Database} from '../../db/database.ts'
import {type Look, lookForChanges, tellsChanges} from '../../db/fingerprint/look.ts'
import type {SeenBefore} from '../../db/fingerprint/note.ts'
import {AybError} from '../../lib/errors.ts'
import type {PostgresSettings} from '../../lib/postgres-settings.ts'
import {isLookEnough, type PromiseFacts, untilDueMs} from '../../lib/promise.ts'
import type {RefreshTarget, ViewPolicy} from '../../lib/records/registrations.ts'
import type {Instant} from '../../lib/records/values.ts'
import {skipBlocker} from '../../lib/skip-blockers.ts'

/**
 * What a refresh has to do with changes: nothing; `record` refreshes and writes down what it saw, for later
 * looks; `skip` refreshes only where something has changed since.
 */
export type ChangeHandling = 'ignore' | 'record' | 'skip'

/** What a look said that did not keep a view from being refreshed. */
export interface Checked {
  /** Null where ayb could not look. */
  at: Instant | null
  /** Why the view is always refreshed; null where it is not. */
  reason: string | null
}

/** What is decided before a refresh, under the lock of the view. */
export type Decision =
  /** `seen` is what the refresh writes down; null for nothing. */
  | {isUnchanged: false; seen: SeenBefore | null; checked: Checked | null}
  | {isUnchanged: true; look: Look; since: string}
  /** The view is always refreshed, and it is not time yet. */
  | {isUnchanged: false; undueMs: number}

/** A view that nothing has changed is refreshed all the same after this long. */
const LONGEST_UNREFRESHED_MS = 86_400_000

/**
 * Counters of changes become visible up to 10 s behind the commit: a look this long after a moment sees all
 * that was committed before the moment, by sessions that are idle or gone.
 */
export const SECOND_LOOK_MS = 11_000

const UNSEEN = 'always refreshed: ayb may not look for changes here, or may not store what it saw'

/** The handling for a view of that policy: `wish` is for this once, null for what the policy says. */
export function changeHandling(
  policy: ViewPolicy | null,
  {wish, isPolicyFollowed}: {wish: boolean | null; isPolicyFollowed: boolean},
): ChangeHandling {
  if (wish === true) return 'skip'
  if (!policy?.skipUnchanged) return 'ignore'
  return wish === null && isPolicyFollowed ? 'skip' : 'record'
}

/** Looks for changes and decides whether to refresh; `promise` is that of the schedule, null for none. */
export async function decide(
  db: Database,
  view: RefreshTarget,
  {changes: handling, promise}: {changes: ChangeHandling; promise: PromiseFacts | null},
  settings: PostgresSettings,
): Promise<Decision> {
  const look = handling === 'ignore' ? null : await lookForChanges(db, view, settings)
  const undueMs = promise === null ? 0 : Math.max(untilDueMs(promise), 0)
  if (!look) {
    if (undueMs > 0) return {isUnchanged: false, undueMs}
    return {isUnchanged: false, seen: null, checked: handling === 'skip' ? {at: null, reason: UNSEEN} : null}
  }
  const {policy} = view
  const isSkippable = look.blockers.every(
    ({kind}) => kind === 'not-populated' || (kind === 'clock' && policy?.refreshAtLeastEveryMs != null),
  )
  if (!isSkippable && undueMs > 0) return {isUnchanged: false, undueMs}
  const seen = {fingerprint: isSkippable ? look.fingerprint : null, lookedAt: look.lookedAt}
  const {stored} = look
  const isUnchanged =
    handling === 'skip' &&
    isSkippable &&
    look.blockers.every(({kind}) => kind !== 'not-populated') &&
    stored !== null &&
    stored.fingerprint === look.fingerprint &&
    stored.own === look.own &&
    // A clock that was set back does not put the backstop off.
    stored.ageMs >= 0 &&
    (promise === null || undueMs > 0 || isLookEnough(promise.maxAgeMs, promise.usualMs)) &&
    stored.ageMs < (policy?.refreshAtLeastEveryMs ?? LONGEST_UNREFRESHED_MS)
  return isUnchanged
    ? {isUnchanged, look, since: stored.since}
    : {
        isUnchanged: false,
        seen,
        checked: {at: look.lookedAtIso, reason: isSkippable ? null : alwaysRefreshed(look)},
      }
}

/** `always refreshed: the definition calls now()`. A reason that a refresh would keep comes first. */
function alwaysRefreshed({blockers}: Look): string | null {
  const [first] = blockers.filter(({kind}) => kind !== 'not-populated')
  return first ? `always refreshed: ${skipBlocker(first).message}` : null
}

/**
 * Refuses servers whose counters can be lost for good.
 * @throws AybError UNSUPPORTED_SERVER
 */
export function requireChanges(db: Database): void {
  if (tellsChanges(db)) return
  throw new AybError(
    'UNSUPPORTED_SERVER',
    'PostgreSQL 15 or newer is needed to tell whether something has changed: older servers can lose counts of changes, and their idle sessions do not report changes',
    {hint: 'leave the check out: then ayb refreshes the view each time'},
  )
}
