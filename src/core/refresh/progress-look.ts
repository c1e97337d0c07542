import type {Database} from '../../db/database.ts'
import type {WatchedRefresh} from '../../db/locks/lock-waits.ts'
import {findRefreshPhase} from '../../db/locks/refresh-phase.ts'
import {usualDuration} from '../../db/runs.ts'
import type {Session} from '../../db/session.ts'
import type {RefreshEvent} from '../../lib/refresh-events.ts'

/** Looks for locks can be more frequent, and nobody reads faster. */
const INTERVAL_MS = 900

/**
 * Looks from the second session how far a refresh is, for whoever watches it: once how long it usually takes,
 * then what it does. What fails here is not told: it is a help, not the work.
 */
export function progressLook(
  db: Database,
  refresh: WatchedRefresh,
  emit: (event: RefreshEvent) => void,
): (session: Session, isWaiting: boolean) => Promise<void> {
  let isUsualKnown = false
  let lookedAt = Number.NEGATIVE_INFINITY
  return async (session, isWaiting) => {
    if (performance.now() - lookedAt < INTERVAL_MS) return
    lookedAt = performance.now()
    try {
      if (!isUsualKnown) {
        isUsualKnown = true
        const durationMs = await usualDuration(db, session, refresh.view)
        if (durationMs !== null) emit({type: 'usual', durationMs})
      }
      const phase = isWaiting ? null : await findRefreshPhase(session, refresh)
      if (phase) emit({type: 'phase', phase})
    } catch {}
  }
}
