import {setTimeout as sleep} from 'node:timers/promises'
import {deleteOldNotices} from '../../db/notices.ts'
import {deleteStrayPolicies} from '../../db/policies.ts'
import {deleteStrayPromises} from '../../db/promises.ts'
import {deleteFinishedJobs, deleteOldRuns, deleteOldSets} from '../../db/prune.ts'
import {deleteStraySchedulePolicies} from '../../db/schedule-policies.ts'
import {deleteStrayStates} from '../../db/states/remember.ts'
import {deleteDeadWorkers} from '../../db/workers.ts'
import {type AybError, isAybError} from '../../lib/errors.ts'
import type {Emit} from '../../lib/worker-events.ts'
import type {ControlSession} from './control.ts'

/** Pause between two passes: nobody misses or minds a job of 30 days ago for ten minutes. */
const INTERVAL_MS = 600_000
/** A batch takes some 10 ms, in which a claim on the control session may have to wait. */
const BATCH = 500
/**
 * After a batch, the pass rests four times as long as the batch took: the session is free for four fifths of
 * the time.
 */
const SHORTEST_REST_MS = 100
const REST_SHARE = 4
/** How many batches a worker with --once deletes; the next worker deletes the rest. */
const BATCHES_ONCE = 20
/**
 * A batch takes some 10 ms, unless somebody holds a lock on the tables: a worker that stops waits that long
 * at most.
 */
const STOP_PATIENCE_MS = 1000

/**
 * Deletes finished jobs, old runs, dead workers, old notices, and the states and policies of views and
 * schedules that are gone. A pass begins every ten minutes, and deletes small batches beside the worker's
 * loop until nothing old is left.
 */
export class Retention {
  readonly #retentionMs: number
  readonly #control: Pick<ControlSession, 'current'>
  readonly #emit: Emit
  readonly #onError: (error: AybError) => void
  #timer: NodeJS.Timeout | null = null
  /** The batch under way, or the batch before. */
  #batch: Promise<void> = Promise.resolve()
  #isStopped = false
  #isFirstBatch = true
  #isOfRuns = false
  #deleted = {jobs: 0, runs: 0}

  /** `retentionMs` is how long finished jobs and runs are kept; 0 keeps all. */
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

  /** Begins the passes, unless they have begun. */
  start(): void {
    if (!this.#isStopped && !this.#timer) this.#schedule(0)
  }

  /** Deletes up to 10,000 rows at once: for a worker that ends soon. */
  async pruneOnce(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    for (let batch = 0; batch < BATCHES_ONCE && (await this.#deleteBatch()); batch++);
    this.#tell()
  }

  /** Ends the passes, and tells what they have deleted. Waits up to a second for the batch under way. */
  async stop(): Promise<void> {
    this.#isStopped = true
    if (this.#timer) clearTimeout(this.#timer)
    await Promise.race([this.#batch, sleep(STOP_PATIENCE_MS, undefined, {ref: false})])
    this.#tell()
  }

  #schedule(pauseMs: number): void {
    this.#timer = setTimeout(() => {
      this.#batch = this.#next()
    }, pauseMs)
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
    this.#schedule(pauseMs)
  }

  /** Deletes a batch: first jobs with their runs, then the other runs. Returns whether more may be left. */
  async #deleteBatch(): Promise<boolean> {
    const control = this.#control.current
    // The worker connects again soon, and the pass goes on.
    if (!control) return true
    if (this.#isFirstBatch) {
      await deleteStrayStates(control, BATCH)
      await deleteStrayPolicies(control, BATCH)
      await deleteStraySchedulePolicies(control, BATCH)
      await deleteStrayPromises(control, BATCH)
      await deleteDeadWorkers(control, BATCH)
      await deleteOldNotices(control, BATCH)
    }
    const isFirstBatch = this.#isFirstBatch
    this.#isFirstBatch = false
    if (this.#retentionMs === 0) return false
    if (isFirstBatch) await deleteOldSets(control, this.#retentionMs, BATCH)
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
