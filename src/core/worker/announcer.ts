import {announceRefresh} from '../../db/announcements.ts'
import type {Database} from '../../db/database.ts'

/** Refreshes within this time are one announcement. */
const MERGE_MS = 250

/** Tells listeners that views were refreshed, on the control session: at once, but not too often. */
export class Announcer {
  readonly #control: () => Database | null
  #lastAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | null = null

  /** `control` is the control session as it is; null while there is none. */
  constructor(control: () => Database | null) {
    this.#control = control
  }

  /** A view was refreshed. */
  note(): void {
    this.#timer ??= setTimeout(
      () => void this.#announce(),
      Math.max(0, this.#lastAt + MERGE_MS - performance.now()),
    )
  }

  /** Tells what has not been told yet. */
  async end(): Promise<void> {
    if (this.#timer) await this.#announce()
  }

  async #announce(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#lastAt = performance.now()
    const control = this.#control()
    if (control) await announceRefresh(control.session)
  }
}
