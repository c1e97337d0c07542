import {onAbort} from './abort.ts'
import {timerMs} from './timer.ts'

interface WaitOptions {
  /** Ends the wait with its reason. */
  signal?: AbortSignal | undefined
  /** Ends the wait after `afterMs` milliseconds; without it there is no end. */
  deadline?: {afterMs: number; reason(): unknown}
  /** Whether there is room for this caller. Without this function, any free place will do. */
  mayEnter?(): boolean
  /** Takes the place. Called within `admit`, before anybody else can look at what is free. */
  onTurn?(): void
}

interface Waiter {
  mayEnter(): boolean
  enter(): void
  leave(reason: unknown): void
}

/**
 * The callers that wait for a place, in the order of their arrival. The owner of the line counts the places.
 */
export class WaitingLine {
  readonly #waiters = new Set<Waiter>()

  get isEmpty(): boolean {
    return this.#waiters.size === 0
  }

  /**
   * Resolves when `admit` comes to this caller.
   * @throws the reason of the signal, of the deadline, or of `refuseAll`
   */
  wait({signal, deadline, mayEnter = () => true, onTurn}: WaitOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        stopListening()
        this.#waiters.delete(waiter)
        finish()
      }
      const waiter: Waiter = {
        mayEnter,
        enter: () =>
          settle(() => {
            onTurn?.()
            resolve()
          }),
        leave: (reason) => settle(() => reject(reason)),
      }
      const timer = deadline && setTimeout(() => waiter.leave(deadline.reason()), timerMs(deadline.afterMs))
      let stopListening = () => {}
      this.#waiters.add(waiter)
      stopListening = onAbort(signal, () => waiter.leave(signal?.reason))
    })
  }

  /** Gives a place to the first in the line; false where nobody waits, or the first has no room yet. */
  admit(): boolean {
    const [first] = this.#waiters
    if (!first?.mayEnter()) return false
    first.enter()
    return true
  }

  /** Ends each wait with a reason of its own. */
  refuseAll(reason: () => unknown): void {
    for (const waiter of [...this.#waiters]) waiter.leave(reason())
  }
}
