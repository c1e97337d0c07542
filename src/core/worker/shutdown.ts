import {timerMs} from '../../lib/timer.ts'

/** How long the loop may wait for an answer after the signal. */
const IMPATIENCE_MS = 1000
/** How long a canceled refresh may take to settle its job before its session is dropped. */
const CANCEL_PATIENCE_MS = 10_000
/** How long a job whose session was dropped may take to notice. */
const DROP_PATIENCE_MS = 2000

/** What the worker does at each step. */
interface Steps {
  onSignal(): void
  /** The loop has not ended a second after the signal. */
  onImpatience(): void
  /** The refreshes in hand have had their time. */
  onTimeout(): void
  /** The canceled refreshes have had their time, too. */
  onLimit(): void
}

/** The clock of a shutdown. It runs from the signal on, whatever the worker waits for at that moment. */
export class Shutdown {
  /** Resolves when the worker should wait for nothing any longer. */
  readonly givenUp: Promise<void>
  readonly #signal: AbortSignal
  readonly #start: () => void
  #timers: NodeJS.Timeout[] = []
  #impatience: NodeJS.Timeout | undefined

  /** `timeoutMs` is how long refreshes may finish. */
  constructor(signal: AbortSignal, timeoutMs: number, steps: Steps) {
    this.#signal = signal
    let giveUp = () => {}
    this.givenUp = new Promise((resolve) => {
      giveUp = resolve
    })
    this.#start = () => {
      steps.onSignal()
      this.#impatience = setTimeout(steps.onImpatience, IMPATIENCE_MS)
      this.#after(timeoutMs, steps.onTimeout)
      this.#after(timeoutMs + CANCEL_PATIENCE_MS, steps.onLimit)
      this.#after(timeoutMs + CANCEL_PATIENCE_MS + DROP_PATIENCE_MS, giveUp)
    }
    if (signal.aborted) this.#start()
    else signal.addEventListener('abort', this.#start, {once: true})
  }

  /** The loop has ended, and needs no more patience. */
  loopEnded(): void {
    clearTimeout(this.#impatience)
    this.#impatience = undefined
  }

  /** Stops the clock. */
  end(): void {
    this.loopEnded()
    this.#signal.removeEventListener('abort', this.#start)
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = []
  }

  #after(ms: number, step: () => void): void {
    this.#timers.push(setTimeout(step, timerMs(ms)))
  }
}
