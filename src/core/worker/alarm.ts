import {timerMs} from '../../lib/timer.ts'

/** Wakes one waiter: however often it rings while nobody waits, the next wait returns at once, and only that one. */
export class Alarm {
  #isRinging = false
  #wake: (() => void) | null = null

  ring(): void {
    this.#isRinging = true
    this.#wake?.()
  }

  /** Resolves when it rings, when the signal aborts, or after that many milliseconds. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isRinging && !signal.aborted) {
      await new Promise<void>((resolve) => {
        // Taken off again: the signal outlives thousands of waits.
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
