import {hostname} from 'node:os'
import type {Database} from '../../db/database.ts'
import {forgetWorker, noteWorker} from '../../db/workers.ts'
import {isAybError} from '../../lib/errors.ts'

/**
 * Other programs consider a worker dead when it has reported nothing for a minute and two poll intervals.
 */
const INTERVAL_MS = 15_000

/** What a worker writes down of itself, where others can see that the worker is alive. */
interface PresenceOptions {
  version: string
  slots: number
  pollIntervalMs: number
  /** The id of the worker, which changes when all sessions were lost. */
  id(): string
}

/** Says in the database that a worker is alive, every 15 seconds. */
export class Presence {
  readonly #options: PresenceOptions
  readonly #startedAt = performance.now()
  #saidAt = Number.NEGATIVE_INFINITY
  #id: string | null = null

  constructor(options: PresenceOptions) {
    this.#options = options
  }

  /** Says that the worker is alive, unless it has said so of late. */
  async say(db: Database): Promise<void> {
    const {id, ...facts} = this.#options
    const now = performance.now()
    if (id() === this.#id && now < this.#saidAt + INTERVAL_MS) return
    this.#saidAt = now
    this.#id = id()
    const uptimeMs = Math.round(now - this.#startedAt)
    const {isPooled} = db.session
    await noteWorker(db, {...facts, id: id(), host: hostname(), pid: process.pid, isPooled, uptimeMs})
  }

  /** Says that the worker ends. Where that fails, the others find out within a minute. */
  async end(db: Database | null): Promise<void> {
    if (db === null || this.#id === null) return
    await forgetWorker(db, this.#id).catch((error) => {
      if (!isAybError(error)) throw error
    })
  }
}
