import {onAbort} from './abort.ts'
import {timerMs} from './timer.ts'

/** Wakes one waiter. A ring while nobody waits ends the next wait at once; more such rings change nothing. */
export class Alarm {
  #isRinging = false
  #wake: (() => void) | null = null

  ring(): void {
    this.#isRinging = true
    this.#wake?.()
  }

  /** Resolves when the alarm rings, when the signal aborts, or after `ms` milliseconds. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isRinging && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer)
          stopListening()
          resolve()
        }
        const timer = setTimeout(wake, timerMs(ms))
        this.#wake = wake
        const stopListening = onAbort(signal, wake)
      })
    }
    this.#wake = null
    this.#isRinging = false
  }
}
