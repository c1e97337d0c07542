import {setTimeout as sleep} from 'node:timers/promises'
import {findBlockers} from '../db/blockers.ts'
import type {Database} from '../db/database.ts'
import type {Blocker} from '../lib/errors.ts'
import {timerMs} from '../lib/timer.ts'

const SHORTEST_INTERVAL_MS = 20
const LONGEST_INTERVAL_MS = 1000
const PATIENCE_MS = 100

/**
 * Watches from a second session whom a refresh waits for: once its lock timeout has fired, Postgres no longer
 * knows. Looks about eight times within the timeout, and remembers the last ones that it saw.
 */
export class BlockerWatch {
  readonly #stopped = new AbortController()
  readonly #watching: Promise<void>
  #last: Blocker[] = []

  /** `pid` is of the backend that refreshes. */
  constructor(db: Database, pid: number, lockTimeoutMs: number) {
    const intervalMs = Math.min(LONGEST_INTERVAL_MS, Math.max(SHORTEST_INTERVAL_MS, lockTimeoutMs / 8))
    // Whom it waits for is a help, not the work: a second session that cannot be had changes nothing.
    this.#watching = this.#watch(db, pid, intervalMs).catch(() => {})
  }

  /** The sessions that were last seen in the way. */
  async seen(): Promise<Blocker[]> {
    await this.stop()
    return this.#last
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#watching
  }

  async #watch(db: Database, pid: number, intervalMs: number): Promise<void> {
    const {signal} = this.#stopped
    // A refresh that is over by then needs no second session.
    await sleep(Math.min(PATIENCE_MS, intervalMs), undefined, {signal})
    const session = await db.openSession(signal)
    // The refresh waits for the end of this.
    session.deadlineMs = 2 * LONGEST_INTERVAL_MS
    try {
      while (!signal.aborted) {
        const blockers = await findBlockers(session, pid)
        if (blockers.length > 0) this.#last = blockers
        await sleep(timerMs(intervalMs), undefined, {signal})
      }
    } finally {
      await session.close()
    }
  }
}
