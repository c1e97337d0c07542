import type {Database} from '../../db/database.ts'
import {deleteFinishedJobs} from '../../db/jobs.ts'
import {deleteStrayStates} from '../../db/view-states.ts'
import type {Emit} from '../../lib/worker-events.ts'

const INTERVAL_MS = 600_000
const BATCH = 500
/** So many at a time that deleting holds up no job for long. */
const BATCHES = 20

/** Deletes finished jobs and their runs, and what is remembered of views that nobody registers any more, some every ten minutes. */
export class Retention {
  readonly #retentionMs: number
  readonly #emit: Emit
  #nextAt = 0

  /** How long finished jobs are kept, in milliseconds; 0 keeps all. */
  constructor(retentionMs: number, emit: Emit) {
    this.#retentionMs = retentionMs
    this.#emit = emit
  }

  /** Does so when it is time. */
  async prune(control: Database): Promise<void> {
    if (performance.now() < this.#nextAt) return
    this.#nextAt = performance.now() + INTERVAL_MS
    await deleteStrayStates(control, BATCH)
    if (this.#retentionMs === 0) return
    let jobs = 0
    for (let batch = 0; batch < BATCHES; batch++) {
      const deleted = await deleteFinishedJobs(control, this.#retentionMs, BATCH)
      jobs += deleted
      if (deleted < BATCH) break
    }
    if (jobs > 0) this.#emit({type: 'pruned', jobs})
  }
}
