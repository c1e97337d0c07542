import type {ClaimedJob} from '../../db/queue/claims.ts'
import {NO_TRIES, type PastTries} from '../refresh/tries.ts'

/** A job that keeps waiting for a lock is reported again after this time. */
const SAY_AGAIN_MS = 60_000
/** More jobs than a worker can put back before the tries of a job are forgotten anyway. */
const MOST_REMEMBERED = 10_000

/**
 * Counts the tries of jobs that this worker put back because the view was locked. The table of view states
 * has the tries of all workers; a database without that table leaves each worker to count its own.
 */
export class LockPatience {
  readonly #past = new Map<string, PastTries & {at: number}>()
  /** When each job was last told to wait, by performance.now(). */
  readonly #toldAt = new Map<string, number>()

  /** The tries of a job so far. */
  of({id, pastTries}: ClaimedJob): PastTries {
    if (pastTries) return pastTries
    const own = this.#past.get(id)
    if (!own) return NO_TRIES
    return {...own, elapsedMs: own.elapsedMs + performance.now() - own.at}
  }

  remember({id}: ClaimedJob, past: PastTries): void {
    setNewest(this.#past, id, {...past, at: performance.now()})
  }

  /** Whether to tell that a job waits: at once, and then once a minute, however many tries the job makes. */
  isWaitNews({id}: ClaimedJob): boolean {
    const now = performance.now()
    const toldAt = this.#toldAt.get(id)
    if (toldAt !== undefined && now - toldAt < SAY_AGAIN_MS) return false
    setNewest(this.#toldAt, id, now)
    return true
  }

  /** The job has ended or has used up its tries: the next attempt counts from zero. */
  forget({id}: ClaimedJob): void {
    this.#past.delete(id)
    this.#toldAt.delete(id)
  }
}

/** Sets the newest entry of a map, and drops the oldest where there are too many. */
function setNewest<T>(map: Map<string, T>, id: string, value: T): void {
  map.delete(id)
  map.set(id, value)
  const oldest = map.size > MOST_REMEMBERED ? map.keys().next() : null
  if (oldest && !oldest.done) map.delete(oldest.value)
}
