import {collectDefaultMetrics, Gauge, Histogram, Registry} from 'prom-client'
import type {Measurements} from '../lib/measurements.ts'
import {bounded} from '../lib/outside-text.ts'
import type {WorkerEvent} from '../lib/worker-events.ts'
import {databaseMetrics} from './database-metrics.ts'
import {type CountedStatus, RefreshCounts} from './refresh-counts.ts'

/** In seconds: from nearly empty views to refreshes of several hours. */
const DURATION_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400]
const LATENESS_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600]

/** Counts the events of a worker and prints the counts in the text format of Prometheus. */
export class WorkerMetrics {
  readonly #registry = new Registry()
  readonly #refreshes = new RefreshCounts()
  readonly #durations = new Histogram({
    name: 'ayb_refresh_duration_seconds',
    help: 'How long the successful refreshes of this worker took.',
    labelNames: ['view'],
    buckets: DURATION_BUCKETS,
    registers: [this.#registry],
  })
  readonly #lateness = new Histogram({
    name: 'ayb_refresh_lateness_seconds',
    help: 'How long jobs waited between their due time and their start.',
    buckets: LATENESS_BUCKETS,
    registers: [this.#registry],
  })
  readonly #slots = new Gauge({
    name: 'ayb_worker_slots',
    help: 'Refreshes that this worker can run at once, by state: busy or free.',
    labelNames: ['state'],
    registers: [this.#registry],
  })
  readonly #lastRefresh = new Gauge({
    name: 'ayb_last_refresh_timestamp_seconds',
    help: 'When this worker last refreshed the view successfully, in seconds since 1970.',
    labelNames: ['view'],
    registers: [this.#registry],
  })

  /** Views that are registered: a job is started or skipped only after ayb found its registration. */
  readonly #registered = new Set<string | null>()

  readonly contentType = this.#registry.contentType

  /** `version` is that of ayb. */
  constructor(version: string) {
    collectDefaultMetrics({register: this.#registry})
    new Gauge({
      name: 'ayb_build_info',
      help: 'Always 1; the version of ayb and of Node.js.',
      labelNames: ['version', 'node'],
      registers: [this.#registry],
    }).set({version, node: process.versions.node}, 1)
  }

  /** Counts one event of the worker. */
  count(event: WorkerEvent): void {
    switch (event.type) {
      case 'job-started':
        this.#registered.add(event.view)
        if (event.pastTries === 0) this.#lateness.observe(event.latenessMs / 1000)
        break
      case 'job-succeeded':
        this.countRefresh(this.#labelOf(event), 'success', event.durationMs)
        break
      case 'job-retried':
        if (event.isAttemptReturned) break
        this.#refreshes.add(this.#labelOf(event), 'error')
        break
      case 'job-failed':
      case 'job-rescued':
        this.#refreshes.add(this.#labelOf(event), 'error')
        break
      case 'job-interrupted':
        this.#refreshes.add(this.#labelOf(event), 'canceled')
        break
      case 'job-skipped':
      case 'job-blocked':
      case 'job-canceled':
        this.#registered.add(event.view)
        this.#refreshes.add(this.#labelOf(event), 'skipped')
        break
      case 'job-unchanged':
        this.#registered.add(event.view)
        this.#refreshes.add(this.#labelOf(event), 'unchanged')
        break
      case 'slots':
        this.#slots.set({state: 'busy'}, event.busy)
        this.#slots.set({state: 'free'}, event.total - event.busy)
        break
    }
  }

  /** Counts a refresh that somebody requested over HTTP. */
  countRefresh(view: string, status: CountedStatus, durationMs: number | null): void {
    this.#refreshes.add(view, status)
    if (status !== 'success' || durationMs === null) return
    this.#durations.observe({view}, durationMs / 1000)
    this.#lastRefresh.set({view}, Date.now() / 1000)
  }

  /** All metrics as text. `measured` is what the database tells; null while it is unreachable. */
  async text(measured: Measurements | null): Promise<string> {
    const counts = this.#refreshes.text(measured?.views.map(({view}) => view) ?? [])
    const own = `${await this.#registry.metrics()}${counts}`
    return measured === null ? own : `${own}${databaseMetrics(measured)}`
  }

  /**
   * The name of a registered view, else an empty label. Anybody with INSERT on the jobs could invent names,
   * and Prometheus keeps a series for each name.
   */
  #labelOf({view}: {view: string | null}): string {
    return this.#registered.has(view) ? bounded(view ?? '') : ''
  }
}
