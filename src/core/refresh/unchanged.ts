import type {Database} from '../../db/database.ts'
import type {Look} from '../../db/fingerprint/look.ts'
import {countCheck} from '../../db/fingerprint/note.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {Refreshed} from '../../lib/records/refreshes.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import {distinct, type Unworded, type Warning} from '../../lib/unworded.ts'
import {SECOND_LOOK_MS} from './decide.ts'
import type {UnchangedView} from './result.ts'

/** How long until the look that counts, in milliseconds; null where this look counts. */
export function untilLastLook(
  look: Look,
  {changesUntil = null}: {changesUntil?: number | null},
  /** The qualified names of its set; null where the view is refreshed alone. */
  set: ReadonlySet<string> | null,
): number | null {
  if (changesUntil === null || (set !== null && readsOnly(look, set))) return null
  const countsFrom = changesUntil + SECOND_LOOK_MS
  return look.sentAt >= countsFrom ? null : Math.max(countsFrom - performance.now(), 0)
}

/** Whether the view reads nothing but views of its set: of these, ayb has seen all changes at once. */
const readsOnly = ({readsTables, reads}: Look, set: ReadonlySet<string>): boolean =>
  !readsTables && reads.every((view) => set.has(qualifiedName(view)))

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
