import type {ClaimedJob} from '../../db/queue/claims.ts'
import {NO_TRIES, type PastTries} from '../refresh/tries.ts'

/** More jobs than a worker puts back while their patience lasts. */
const MOST_REMEMBERED = 10_000

/**
 * The tries of jobs that this worker put back because the lock of their view could not be had. The table of view states
 * has the tries of all workers; where that table is not there, each worker counts for itself.
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

  /** The job has ended, or its patience has: a next attempt begins anew. */
  forget({id}: ClaimedJob): void {
    this.#past.delete(id)
  }
}
