import type {Database} from '../db/database.ts'
import {countJobs} from '../db/jobs.ts'
import {isAybError} from '../lib/errors.ts'
import type {JobState} from '../lib/records.ts'

const INTERVAL_MS = 15_000

type Counted = Record<JobState, number>

/** How many jobs are in each state, counted at most every 15 s however often somebody asks. */
export class JobCount {
  readonly #use: (count: (db: Database) => Promise<Counted>) => Promise<Counted>
  #nextAt = 0
  #counted: Promise<Counted | null> = Promise.resolve(null)

  /** `use` runs the count on a session that nothing due waits for: with a million jobs it takes a while. */
  constructor(use: (count: (db: Database) => Promise<Counted>) => Promise<Counted>) {
    this.#use = use
  }

  /** The last count; null where the database could not be asked. */
  read(): Promise<Counted | null> {
    if (performance.now() >= this.#nextAt) {
      this.#nextAt = performance.now() + INTERVAL_MS
      this.#counted = this.#count()
    }
    return this.#counted
  }

  async #count(): Promise<Counted | null> {
    try {
      return await this.#use(async (db) => {
        const {oldestQueuedAgeSec: _, ...jobs} = await countJobs(db)
        return jobs
      })
    } catch (error) {
      if (isAybError(error)) return null
      throw error
    }
  }
}
