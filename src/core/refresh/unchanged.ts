import type {Database} from '../../db/database.ts'
import type {Look} from '../../db/fingerprint/look.ts'
import {countCheck} from '../../db/fingerprint/note.ts'
import type {Refreshed} from '../../lib/records/refreshes.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import {distinct, type Unworded, type Warning} from '../../lib/unworded.ts'
import {SECOND_LOOK_MS} from './decide.ts'
import type {UnchangedView} from './result.ts'

/** How long until the look that counts, in milliseconds; 0 or less where this look counts. */
export function untilLastLook(
  {readsTables}: Look,
  {changesUntil = null, isInSet = false}: {changesUntil?: number | null; isInSet?: boolean},
): number {
  // Of the views above in its set, ayb has seen the changes at once.
  const isLast = changesUntil === null || (isInSet && !readsTables)
  return isLast ? 0 : changesUntil + SECOND_LOOK_MS - performance.now()
}

/** The answer for a view that was not refreshed, because nothing has changed; counts the look. */
export async function answerUnchanged(
  db: Database,
  registration: Registration,
  {look, since}: UnchangedView,
  warnings: readonly Warning[],
): Promise<Unworded<Refreshed>> {
  await countCheck(db, registration, look)
  return {
    registration,
    durationMs: null,
    warnings: [...db.takeWarnings(), ...distinct([...warnings])],
    lockWaitMs: 0,
    status: 'unchanged',
    reason: `unchanged: nothing has changed since ${since}`,
    checkedAt: look.lookedAtIso,
  }
}
