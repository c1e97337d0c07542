import type {Database} from '../../db/database.ts'
import {endWorkers} from '../../db/locks/liveness.ts'
import {isAybError, messageOf} from '../../lib/errors.ts'
import type {Emit} from '../../lib/worker-events.ts'

/** At most so many keys are remembered, since other programs can write any number of keys into jobs. */
const MOST_KEYS = 10_000

/** Ends the sessions of frozen workers: they hold jobs past the lease, and do not work on these jobs. */
export class FrozenWorkers {
  readonly #emit: Emit
  /** Keys of workers whose sessions this role may not end; each is reported once. */
  readonly #untouchable = new Set<string>()
  /** Keys of workers whose sessions were asked to end. */
  readonly #asked = new Set<string>()

  constructor(emit: Emit) {
    this.#emit = emit
  }

  /** Returns whether a session was asked to end for the first time, so that its jobs may be free now. */
  async end(control: Database, keys: readonly string[]): Promise<boolean> {
    if (keys.length === 0) return false
    let ended = 0
    const strangers: {keyHex: string; why: string}[] = []
    try {
      for (const worker of await endWorkers(control.session, keys)) {
        const {keyHex, stranger} = worker
        if (stranger !== null) strangers.push({keyHex, why: `its key is held by ${stranger}`})
        // A backend that does not react is asked again at each poll, but reported only once.
        if (worker.ended === 0 || !isNew(this.#asked, keyHex)) continue
        this.#emit({type: 'worker-ended', keyHex, sessions: worker.ended})
        ended += worker.ended
      }
    } catch (error) {
      // The jobs of these workers wait until a person ends the sessions. All other jobs go on.
      if (!isAybError(error, 'PERMISSION_DENIED')) throw error
      for (const keyHex of keys) strangers.push({keyHex, why: messageOf(error)})
    }
    this.#tellOf(strangers)
    return ended > 0
  }

  #tellOf(strangers: readonly {keyHex: string; why: string}[]): void {
    const [first, ...others] = strangers.filter(({keyHex}) => isNew(this.#untouchable, keyHex))
    if (!first) return
    const more = others.length > 0 ? ` (and ${others.length} more like it)` : ''
    const message = `worker ${first.keyHex} outlived its lease and cannot be ended, so its jobs wait${more}: ${first.why}`
    this.#emit({type: 'warning', message})
  }
}

/** Adds the key. Returns whether the key is new. */
function isNew(keys: Set<string>, key: string): boolean {
  if (keys.has(key)) return false
  if (keys.size >= MOST_KEYS) keys.clear()
  keys.add(key)
  return true
}
