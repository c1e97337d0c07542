import {countJobs} from '../../db/jobs.ts'
import {isAybError} from '../../lib/errors.ts'
import type {JobState} from '../../lib/records.ts'
import type {WorkerSessions} from './sessions.ts'

const INTERVAL_MS = 15_000

/** How many jobs are in each state, counted at most every 15 s however often somebody asks. */
export class JobCount {
  readonly #sessions: WorkerSessions
  #nextAt = 0
  #counted: Promise<Record<JobState, number> | null> = Promise.resolve(null)

  constructor(sessions: WorkerSessions) {
    this.#sessions = sessions
  }

  /** The last count; null where the database could not be asked. */
  read(): Promise<Record<JobState, number> | null> {
    if (performance.now() >= this.#nextAt) {
      this.#nextAt = performance.now() + INTERVAL_MS
      this.#counted = this.#count()
    }
    return this.#counted
  }

  /** Not on the control session: with a million jobs it takes a while, and nothing due may wait for it. */
  async #count(): Promise<Record<JobState, number> | null> {
    try {
      const db = await this.#sessions.acquire()
      try {
        const {oldestQueuedAgeSec: _, ...jobs} = await countJobs(db)
        return jobs
      } finally {
        await this.#sessions.release(db)
      }
    } catch (error) {
      if (isAybError(error)) return null
      throw error
    }
  }
}
