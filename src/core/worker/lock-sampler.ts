import type {Database} from '../../db/database.ts'
import {findLockWaits} from '../../db/locks/lock-waits.ts'
import {lookRhythm, Sightings, type WatchLocks, type WatchRequest} from '../refresh/blockers.ts'
import type {Pace} from '../refresh/second-session.ts'
import {DueLooks} from './due-looks.ts'

interface Watched extends Pace {
  request: WatchRequest
  sightings: Sightings
}

/**
 * Finds out on the control session which locks the refreshes of a worker wait for, with one statement for
 * all.
 */
export class LockSampler {
  readonly #control: () => Database | null
  readonly #watched = new DueLooks<Watched>()
  #timer: NodeJS.Timeout | null = null
  #dueAt = 0
  #isLooking = false

  /** `control` returns the control session; null while there is none. */
  constructor(control: () => Database | null) {
    this.#control = control
  }

  readonly watch: WatchLocks = (request) => {
    const sightings = new Sightings(request)
    const watched = {...lookRhythm(request.limitMs), request, sightings}
    this.#watched.add(watched)
    this.#schedule()
    const stop = async () => {
      this.#watched.remove(watched)
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

  /** A timer that is set stays, although most refreshes end before it fires. */
  #schedule(): void {
    const untilDueMs = this.#watched.untilDueMs
    if (untilDueMs === null) {
      if (this.#timer) clearTimeout(this.#timer)
      this.#timer = null
      return
    }
    if (this.#isLooking) return
    const nextAt = performance.now() + untilDueMs
    if (this.#timer && this.#dueAt <= nextAt) return
    if (this.#timer) clearTimeout(this.#timer)
    this.#dueAt = nextAt
    this.#timer = setTimeout(() => void this.#look(), untilDueMs)
  }

  async #look(): Promise<void> {
    this.#timer = null
    this.#isLooking = true
    try {
      const {due} = this.#watched
      const control = this.#control()
      for (const watched of due) this.#watched.again(watched)
      if (!control) return
      // Of several hosts, the control session may have got another one, where the pid is of a stranger.
      const beside = due.filter(({request}) => control.session.isBeside(request.session))
      if (beside.length === 0) return
      const waits = await findLockWaits(
        control.session,
        beside.map(({request}) => request),
      )
      for (const {request, sightings} of beside) sightings.add(waits.get(request.pid) ?? null)
    } catch {
      // A refresh runs as well without this. When the session is lost, the worker's loop notices.
    } finally {
      this.#isLooking = false
      this.#schedule()
    }
  }
}
