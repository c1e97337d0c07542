import {WaitingLine} from './waiting-line.ts'

/** A limited number of places, of which a caller takes several at once. */
export class Places {
  #free: number
  readonly #line = new WaitingLine()

  constructor(count: number) {
    this.#free = count
  }

  /** Takes the places if they are free and nobody waits; false otherwise. */
  tryTake(count: number): boolean {
    if (!this.#line.isEmpty || count > this.#free) return false
    this.#free -= count
    return true
  }

  /**
   * Takes the places, after callers that have waited for longer.
   * @throws the reason of the signal
   */
  async take(count: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.tryTake(count)) return
    const turn = {
      signal,
      mayEnter: () => count <= this.#free,
      onTurn: () => {
        this.#free -= count
      },
    }
    await this.#line.wait(turn).catch((error) => {
      // There may be room for the next in the line.
      this.#admit()
      throw error
    })
  }

  give(count: number): void {
    this.#free += count
    this.#admit()
  }

  #admit(): void {
    while (this.#line.admit());
  }
}
