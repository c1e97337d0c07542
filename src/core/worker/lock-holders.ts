import type {Blocker} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'

/** A lock that is held for so long is reported again. */
const AGAIN_MS = 600_000

/** Throttles reports about held locks: a job whose view is locked is put back up to once a second. */
export class LockHolders {
  readonly #told = new Map<string, {pid: number | null; until: number}>()

  /** Whether to report now that this session holds the lock of the view. The answer counts as a report. */
  isNews(view: ViewName, holder: Blocker | null): boolean {
    const now = performance.now()
    for (const [name, {until}] of this.#told) if (until <= now) this.#told.delete(name)
    const name = qualifiedName(view)
    const pid = holder?.pid ?? null
    if (this.#told.get(name)?.pid === pid) return false
    this.#told.set(name, {pid, until: now + AGAIN_MS})
    return true
  }
}
