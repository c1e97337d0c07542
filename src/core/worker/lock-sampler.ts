import type {Database} from '../../db/database.ts'
import {findLockWaits} from '../../db/locks/lock-waits.ts'
import {lookRhythm, Sightings, type WatchLocks, type WatchRequest} from '../refresh/blockers.ts'

interface Watched {
  request: WatchRequest
  intervalMs: number
  nextLookAt: number
  sightings: Sightings
}

/** Looks from the control session for which locks the refreshes of a worker wait: all of them in one statement. */
export class LockSampler {
  readonly #control: () => Database | null
  readonly #watched = new Set<Watched>()
  #timer: NodeJS.Timeout | null = null
  #dueAt = 0
  #isLooking = false

  /** `control` is the control session as it is; null while there is none. */
  constructor(control: () => Database | null) {
    this.#control = control
  }

  readonly watch: WatchLocks = (request) => {
    const {firstMs, intervalMs} = lookRhythm(request.limitMs)
    const sightings = new Sightings(request)
    const watched = {request, intervalMs, nextLookAt: performance.now() + firstMs, sightings}
    this.#watched.add(watched)
    this.#schedule()
    const stop = async () => {
      this.#watched.delete(watched)
      this.#schedule()
    }
    return {
      stop,
      async seen() {
        await stop()
        return sightings
      },
    }
  }

  /** A timer that is set stays, and finds out whether there is something to look at: most refreshes end before. */
  #schedule(): void {
    if (this.#watched.size === 0) {
      if (this.#timer) clearTimeout(this.#timer)
      this.#timer = null
      return
    }
    if (this.#isLooking) return
    const nextAt = Math.min(...[...this.#watched].map(({nextLookAt}) => nextLookAt))
    if (this.#timer && this.#dueAt <= nextAt) return
    if (this.#timer) clearTimeout(this.#timer)
    this.#dueAt = nextAt
    this.#timer = setTimeout(() => void this.#look(), Math.max(nextAt - performance.now(), 0))
  }

  async #look(): Promise<void> {
    this.#timer = null
    this.#isLooking = true
    try {
      const due = [...this.#watched].filter(({nextLookAt}) => nextLookAt <= performance.now() + 1)
      const control = this.#control()
      for (const watched of due) watched.nextLookAt = performance.now() + watched.intervalMs
      if (!control || due.length === 0) return
      const waits = await findLockWaits(
        control.session,
        due.map(({request}) => request),
      )
      for (const {request, sightings} of due) sightings.add(waits.get(request.pid) ?? null)
    } catch {
      // Whom a refresh waits for is a help, not the work: the worker's loop notices that the session is gone.
    } finally {
      this.#isLooking = false
      this.#schedule()
    }
  }
}
