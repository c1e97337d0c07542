import type {Database} from '../../db/database.ts'
import {endWorker} from '../../db/liveness.ts'
import {isAybError, messageOf} from '../../lib/errors.ts'
import type {Emit} from '../../lib/worker-events.ts'

/** Ends what is left of workers that hold jobs past their lease without working on them. */
export class FrozenWorkers {
  readonly #emit: Emit
  /** Those whose sessions this role may not end: told of once. */
  readonly #untouchable = new Set<string>()
  /** Those whose sessions were asked to end. */
  readonly #asked = new Set<string>()

  constructor(emit: Emit) {
    this.#emit = emit
  }

  /** Returns whether a session was ended, so that its jobs may be free now. */
  async end(control: Database, keys: readonly string[]): Promise<boolean> {
    let ended = 0
    for (const keyHex of keys) {
      const sessions = await this.#endOne(control, keyHex)
      // A backend that does not react is asked again at each look, but at the pace of the polls, and told of once.
      const isNew = sessions > 0 && !this.#asked.has(keyHex)
      if (!isNew) continue
      this.#asked.add(keyHex)
      this.#emit({type: 'worker-ended', keyHex, sessions})
      ended += sessions
    }
    return ended > 0
  }

  async #endOne(control: Database, keyHex: string): Promise<number> {
    try {
      return await endWorker(control.session, keyHex)
    } catch (error) {
      // Its jobs wait until somebody else ends it; all others must not.
      if (!isAybError(error, 'PERMISSION_DENIED')) throw error
      if (!this.#untouchable.has(keyHex)) {
        this.#untouchable.add(keyHex)
        const message = `worker ${keyHex} outlived its lease and cannot be ended: ${messageOf(error)}`
        this.#emit({type: 'warning', message})
      }
      return 0
    }
  }
}
