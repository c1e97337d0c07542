import {deleteFinishedJobs, deleteOldRuns} from '../../db/prune.ts'
import {deleteStrayStates} from '../../db/view-states.ts'
import {type AybError, isAybError} from '../../lib/errors.ts'
import type {Emit} from '../../lib/worker-events.ts'
import type {ControlSession} from './control.ts'

/** Between two passes: nobody notices whether a job of 30 days ago is gone ten minutes earlier. */
const INTERVAL_MS = 600_000
/** A batch takes some 10 ms, for which a claim may have to wait behind it on the control session. */
const BATCH = 500
/** Rests between the batches of a pass: four times as long as the batch took, so that four fifths of the session's time are free. */
const SHORTEST_REST_MS = 100
const REST_SHARE = 4
/** A worker that only runs what is due leaves the rest to the next one. */
const BATCHES_ONCE = 20

/**
 * Deletes finished jobs, old runs, and what is remembered of views that nobody registers any more: a pass every ten
 * minutes, which goes on in small batches until nothing old is left, beside the worker's loop.
 */
export class Retention {
  readonly #retentionMs: number
  readonly #control: Pick<ControlSession, 'current'>
  readonly #emit: Emit
  readonly #onError: (error: AybError) => void
  #timer: NodeJS.Timeout | null = null
  #isStopped = false
  #isFirstBatch = true
  #isOfRuns = false
  #deleted = {jobs: 0, runs: 0}

  /** How long finished jobs and runs are kept, in milliseconds; 0 keeps all. */
  constructor(
    retentionMs: number,
    control: Pick<ControlSession, 'current'>,
    emit: Emit,
    onError: (error: AybError) => void,
  ) {
    this.#retentionMs = retentionMs
    this.#control = control
    this.#emit = emit
    this.#onError = onError
  }

  /** Begins the passes, where they have not begun yet. */
  start(): void {
    if (!this.#isStopped) this.#timer ??= setTimeout(() => void this.#next(), 0)
  }

  /** Deletes what there is, up to 10,000 rows: for a worker that ends soon. */
  async pruneOnce(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    for (let batch = 0; batch < BATCHES_ONCE && (await this.#deleteBatch()); batch++);
    this.#tell()
  }

  /** Ends the passes. */
  stop(): void {
    this.#isStopped = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#tell()
  }

  async #next(): Promise<void> {
    const startedAt = performance.now()
    let pauseMs = INTERVAL_MS
    try {
      if (await this.#deleteBatch()) {
        pauseMs = Math.max(SHORTEST_REST_MS, REST_SHARE * (performance.now() - startedAt))
      }
    } catch (error) {
      if (!isAybError(error)) throw error
      if (!this.#isStopped) this.#onError(error)
    }
    if (this.#isStopped) return
    if (pauseMs === INTERVAL_MS) {
      this.#isFirstBatch = true
      this.#tell()
    }
    this.#timer = setTimeout(() => void this.#next(), pauseMs)
  }

  /** First the jobs with their runs, then the other runs. Returns whether there may be more. */
  async #deleteBatch(): Promise<boolean> {
    const control = this.#control.current
    // Not lost for long, and then the pass goes on.
    if (!control) return true
    if (this.#isFirstBatch) await deleteStrayStates(control, BATCH)
    this.#isFirstBatch = false
    if (this.#retentionMs === 0) return false
    if (!this.#isOfRuns) {
      const {jobs, runs} = await deleteFinishedJobs(control, this.#retentionMs, BATCH)
      this.#deleted.jobs += jobs
      this.#deleted.runs += runs
      this.#isOfRuns = jobs < BATCH
      return true
    }
    const runs = await deleteOldRuns(control, this.#retentionMs, BATCH)
    this.#deleted.runs += runs
    this.#isOfRuns = runs >= BATCH
    return this.#isOfRuns
  }

  #tell(): void {
    const {jobs, runs} = this.#deleted
    this.#deleted = {jobs: 0, runs: 0}
    if (jobs + runs > 0) this.#emit({type: 'pruned', jobs, runs})
  }
}
