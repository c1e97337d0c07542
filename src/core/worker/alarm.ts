/** Wakes one waiter: however often it rings while nobody waits, the next wait returns at once, and only that one. */
export class Alarm {
  #isRinging = false
  #wake: (() => void) | null = null
  #previous = new AbortController()

  ring(): void {
    this.#isRinging = true
    this.#wake?.()
  }

  /** Resolves when it rings, when the signal aborts, or after that many milliseconds. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isRinging && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        const wake = () => {
          clearTimeout(timer)
          resolve()
        }
        this.#wake = wake
        signal.addEventListener('abort', wake, {once: true, signal: this.#untilNextWait()})
      })
    }
    this.#wake = null
    this.#isRinging = false
  }

  /** Takes the listener of the wait before off the signal, which outlives thousands of waits. */
  #untilNextWait(): AbortSignal {
    this.#previous.abort()
    this.#previous = new AbortController()
    return this.#previous.signal
  }
}
