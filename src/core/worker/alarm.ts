import {timerMs} from '../../lib/timer.ts'

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
        // The listener is removed again, because the signal outlives thousands of waits.
        const wake = () => {
          clearTimeout(timer)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        const timer = setTimeout(wake, timerMs(ms))
        this.#wake = wake
        signal.addEventListener('abort', wake, {once: true})
      })
    }
    this.#wake = null
    this.#isRinging = false
  }
}
