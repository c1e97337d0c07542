import type {ClaimedJob} from '../../db/queue/claims.ts'
import {NO_TRIES, type PastTries} from '../refresh/tries.ts'

/** More jobs than a worker puts back while the tries of a job still count. */
const MOST_REMEMBERED = 10_000

/**
 * Counts the tries of jobs that this worker put back because the view was locked. The table of view states
 * has the tries of all workers; a database without that table leaves each worker to count its own.
 */
export class LockPatience {
  readonly #past = new Map<string, PastTries & {at: number}>()

  /** The tries of a job so far. */
  of({id, pastTries}: ClaimedJob): PastTries {
    if (pastTries) return pastTries
    const own = this.#past.get(id)
    if (!own) return NO_TRIES
    return {...own, elapsedMs: own.elapsedMs + performance.now() - own.at}
  }

  remember({id}: ClaimedJob, past: PastTries): void {
    this.#past.delete(id)
    this.#past.set(id, {...past, at: performance.now()})
    const oldest = this.#past.size > MOST_REMEMBERED ? this.#past.keys().next() : null
    if (oldest && !oldest.done) this.#past.delete(oldest.value)
  }

  /** The job has ended or has used up its tries: the next attempt counts from zero. */
  forget({id}: ClaimedJob): void {
    this.#past.delete(id)
  }
}
