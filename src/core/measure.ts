import type {Database} from '../db/database.ts'
import {countJobs} from '../db/jobs.ts'
import {findRunningRefreshes} from '../db/locks/running.ts'
import {readNextRuns} from '../db/next-runs.ts'
import {readServerFacts} from '../db/server-facts.ts'
import {ownIdentity} from '../db/states/identity.ts'
import {countWorkers} from '../db/workers.ts'
import {isAybError} from '../lib/errors.ts'
import type {Measurements} from '../lib/measurements.ts'
import {awaitedNow, judgeAll} from './freshness/judged.ts'

const INTERVAL_MS = 15_000

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000)

/** What the database tells, read at most every 15 s however often somebody asks. */
export class Measure {
  readonly #use: (read: (db: Database) => Promise<Measurements>) => Promise<Measurements>
  #nextAt = 0
  #measured: Promise<Measurements | null> = Promise.resolve(null)

  /** `use` runs the read on a session that nothing due waits for: with a million jobs it takes a while. */
  constructor(use: (read: (db: Database) => Promise<Measurements>) => Promise<Measurements>) {
    this.#use = use
  }

  /** The last measurements; null where the database could not be asked. */
  read(): Promise<Measurements | null> {
    if (performance.now() >= this.#nextAt) {
      this.#nextAt = performance.now() + INTERVAL_MS
      this.#measured = this.#measure()
    }
    return this.#measured
  }

  async #measure(): Promise<Measurements | null> {
    try {
      return await this.#use(measure)
    } catch (error) {
      if (isAybError(error)) return null
      throw error
    }
  }
}

async function measure(db: Database): Promise<Measurements> {
  const isStandby = db.session.readOnlyReason === 'recovery'
  const {oldestQueuedAgeSec: _, ...jobs} = await countJobs(db)
  const {nowMs, views} = await judgeAll(db)
  const running = isStandby ? null : await findRunningRefreshes(db)
  const awaited = await awaitedNow(db, running ?? new Map())
  const runningSeconds = (view: string): number | null => {
    if (running === null) return null
    const since = running.get(view)?.since ?? null
    return since === null ? 0 : Math.max(0, (nowMs - Date.parse(since)) / 1000)
  }
  return {
    database: {
      name: (await readServerFacts(db)).database,
      systemIdentifier: (await ownIdentity(db))?.systemIdentifier ?? null,
    },
    jobs,
    views: views.map(({name, facts, freshAsOfMs, maxAgeMs, isStale, overdue}) => ({
      view: name,
      // Where nobody knows as of when the data is, it is at least as old as the refresh.
      freshAt: seconds(freshAsOfMs ?? facts.lastSuccessStartedAtMs) ?? 0,
      lastSuccessAt: seconds(facts.lastSuccessEndedAtMs) ?? 0,
      lastDuration: seconds(facts.lastSuccessDurationMs),
      maxAge: seconds(maxAgeMs),
      consecutiveFailures: facts.consecutiveFailures,
      isStale,
      isOverdue: overdue,
      isAwaited: awaited.has(name),
      running: runningSeconds(name),
      sizeBytes: facts.sizeBytes,
    })),
    schedules: await readNextRuns(db),
    workers: isStandby ? null : await countWorkers(db),
  }
}
