import type {Database} from '../../db/database.ts'
import type {OnceBound} from '../../db/queue/claims.ts'
import type {ScheduleTiming} from '../../db/queue/due.ts'
import {findDueWithin, findUnfinished, readExactTime} from '../../db/queue/due-once.ts'
import type {Survey} from '../../db/queue/survey.ts'
import type {RemainingJob} from '../../lib/records.ts'
import type {WorkerEvent} from '../../lib/worker-events.ts'
import type {OnceFacts} from './rhythm.ts'

/** Behind the end of a job's pause, for as long as the clocks may differ. */
const PAUSE_LOOK_MS = 200
const PAUSE_MARGIN_MS = 2000

/**
 * What a worker with `--once` is there for: what was due when it first looked around. Without that bound, a schedule
 * whose period is no longer than its refresh would keep it at work for ever. It also remembers what has not ended well.
 */
export class Once {
  #until: string | null = null
  /** Jobs that were in hand and have not ended, and why. */
  readonly #unfinished = new Map<string, Omit<RemainingJob, 'jobId'>>()
  readonly #unreadable: RemainingJob[] = []
  readonly #withoutSession = new Set<string>()
  /** Jobs that let readers of their view pass, and when they are due again, by the clock of this process. */
  readonly #pausing = new Map<string, number>()
  /** How many jobs have ended; each leaves a session free. */
  #ended = 0

  /** What may be claimed: a job that went back is due again later, and still within the bound. */
  get bound(): OnceBound | null {
    return this.#until === null ? null : {until: this.#until, jobIds: [...this.#unfinished.keys()]}
  }

  /** What a look around found, without what became due later. */
  async narrow(
    control: Database,
    seen: Survey,
    look: {busyViews: readonly string[]; unreadable: readonly ScheduleTiming[]},
  ): Promise<Survey> {
    this.#until ??= await readExactTime(control)
    const jobIds = [...this.#unfinished.keys()]
    const found = await findDueWithin(control, {until: this.#until, jobIds}, look)
    return {
      ...seen,
      hasClaimable: found.hasClaimable,
      nextScheduleInMs: found.hasDueSchedule ? 0 : null,
    }
  }

  /** What there is to wait for when nothing is due. */
  get facts(): OnceFacts {
    return {
      nextTryInMs: this.#nextTryInMs(),
      isShortOfSessions: this.#withoutSession.size > 0,
      ended: this.#ended,
    }
  }

  #nextTryInMs(): number | null {
    const now = performance.now()
    for (const [jobId, dueAt] of this.#pausing) {
      // Another worker has taken the job up.
      if (dueAt + PAUSE_MARGIN_MS < now) this.#pausing.delete(jobId)
    }
    if (this.#pausing.size === 0) return null
    return Math.max(Math.min(...this.#pausing.values()) - now, PAUSE_LOOK_MS)
  }

  /** Takes note of how jobs end. */
  observe(event: WorkerEvent): void {
    switch (event.type) {
      case 'job-started':
        this.#withoutSession.delete(event.jobId)
        this.#pausing.delete(event.jobId)
        break
      case 'job-succeeded':
      case 'job-failed':
        this.#ended++
        this.#unfinished.delete(event.jobId)
        break
      case 'job-retried':
        this.#ended++
        this.#leave(event, event.error)
        break
      case 'job-skipped':
        this.#leave(event, `refresh already in progress${event.holder === null ? '' : ` by ${event.holder}`}`)
        break
      case 'job-blocked':
        this.#ended++
        this.#pausing.set(event.jobId, performance.now() + event.delayMs)
        this.#leave(event, event.waiting)
        break
      case 'job-without-session':
        this.#withoutSession.add(event.jobId)
        this.#leave(event, `no session could be had: ${event.error}`)
        break
      case 'job-interrupted':
        this.#leave(event, 'the worker was stopped')
        break
      case 'job-unrecorded':
        this.#leave(event, event.message)
        break
      case 'job-lost':
        this.#leave(event, 'another worker took the job over')
        break
      case 'job-recovered':
        if (event.state === 'queued') this.#leave({...event, scheduleId: null}, 'its worker died')
        else this.#unfinished.delete(event.jobId)
        break
      case 'schedule-unreadable':
        if (event.isDue) {
          const {scheduleId, error} = event
          this.#unreadable.push({jobId: null, scheduleId, reason: `the schedule cannot be read: ${error}`})
        }
        break
    }
  }

  /** What was due and has not ended, as the database has it; as this worker has it where there is no session to ask on. */
  async remaining(control: Database | null): Promise<RemainingJob[]> {
    const known = [...this.#unfinished].map(([jobId, left]): RemainingJob => ({jobId, ...left}))
    if (!control) return [...this.#unreadable, ...known]
    const reasons = new Map(known.map(({jobId, reason}) => [jobId, reason]))
    const unfinished = await findUnfinished(control, [...this.#unfinished.keys()])
    return [
      ...this.#unreadable,
      ...unfinished.map((job) => ({...job, reason: reasons.get(job.jobId) ?? 'not done'})),
    ]
  }

  #leave({jobId, scheduleId}: {jobId: string; scheduleId: string | null}, reason: string): void {
    this.#unfinished.set(jobId, {scheduleId, reason})
  }
}
