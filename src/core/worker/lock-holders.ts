import type {Blocker} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records.ts'

/** A lock that is held for so long is told of again. */
const AGAIN_MS = 600_000

/** Who was seen to hold the lock of a view: a job is put back up to once a second, and its log is not to say so each time. */
export class LockHolders {
  readonly #told = new Map<string, {pid: number | null; until: number}>()

  /** Whether it is to be told that this session holds the lock of the view. */
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
