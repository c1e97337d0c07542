import {resourceState} from '../../db/sqlstate.ts'
import type {AybError} from '../../lib/errors.ts'

/** What lasts is told again now and then. */
const AGAIN_MS = 600_000

/** What turns of a worker failed with and was said: each thing once in a while, however often it is met. */
export class Complaints {
  readonly #toldUntil = new Map<string, number>()

  /** Whether the error is to be told. */
  isNews(error: AybError): boolean {
    const now = performance.now()
    for (const [complaint, until] of this.#toldUntil) if (until <= now) this.#toldUntil.delete(complaint)
    // A server that is out of something, or cannot read it, names another file each time.
    const complaint = resourceState(error) ?? inTheWay(error) ?? error.message
    if (this.#toldUntil.has(complaint)) return false
    this.#toldUntil.set(complaint, now + AGAIN_MS)
    return true
  }

  /** All is well again: what fails from now on is news. */
  clear(): void {
    this.#toldUntil.clear()
  }
}

/** For how long somebody has been in the way changes the message each time. */
const inTheWay = ({code, details}: AybError): string | null =>
  details?.blockers?.length ? `${code} ${details.blockers.map(({pid}) => pid).join(' ')}` : null
