import type {Database} from '../../db/database.ts'
import type {OnceBound} from '../../db/queue/claims.ts'
import type {ScheduleTiming} from '../../db/queue/due.ts'
import {findDueWithin, findLiveMembers, findUnfinished, readExactTime} from '../../db/queue/due-once.ts'
import type {Poll} from '../../db/queue/poll.ts'
import type {RemainingJob} from '../../lib/records/workers.ts'
import type {WorkerEvent} from '../../lib/worker-events.ts'
import type {OnceFacts} from './rhythm.ts'

/**
 * How often to look for a job whose pause is over by the clock of this process, but not yet by the server's.
 */
const PAUSE_LOOK_MS = 200
/** If a job cannot be claimed for this long after its pause, another worker has taken it. */
const PAUSE_MARGIN_MS = 2000
/** The reason for a member of a set that was never started. */
const WAITS = 'it waits for the views that its view reads'

/**
 * The work of a worker with `--once`: everything that was due at its first poll. Without that bound, a
 * schedule whose period is shorter than its refresh would keep the worker busy for ever. Also remembers the
 * jobs that did not end.
 */
export class Once {
  #until: string | null = null
  /** Jobs that were in hand and have not ended, with the reason. */
  readonly #unfinished = new Map<string, Omit<RemainingJob, 'jobId'>>()
  readonly #unreadable: RemainingJob[] = []
  readonly #withoutSession = new Set<string>()
  /** When jobs that pause for readers of their view are due again, by performance.now(). */
  readonly #pausing = new Map<string, number>()
  /** How many jobs have ended; each leaves a session free. */
  #ended = 0

  /**
   * What may be claimed. A job that was put back is due later than the bound says, and may be claimed all the
   * same.
   */
  get bound(): OnceBound | null {
    return this.#until === null ? null : {until: this.#until, jobIds: [...this.#unfinished.keys()]}
  }

  /** What a poll found, without what became due after the start. */
  async narrow(
    control: Database,
    seen: Poll,
    look: {busyViews: readonly string[]; unreadable: readonly ScheduleTiming[]},
  ): Promise<Poll> {
    if (this.#until === null) {
      this.#until = await readExactTime(control)
      for (const member of await findLiveMembers(control)) this.#leave(member, WAITS)
    }
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

  /** Notes how jobs end. */
  observe(event: WorkerEvent): void {
    switch (event.type) {
      case 'job-started':
        this.#withoutSession.delete(event.jobId)
        this.#pausing.delete(event.jobId)
        break
      case 'job-succeeded':
      case 'job-unchanged':
      case 'job-undue':
      case 'job-failed':
      case 'job-canceled':
        this.#ended++
        this.#pausing.delete(event.jobId)
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
      case 'job-looks-unchanged':
        this.#ended++
        this.#pausing.set(event.jobId, performance.now() + event.delayMs)
        this.#leave(event, 'waits for a second look')
        break
      case 'job-put-off':
        this.#ended++
        this.#leave(event, `its schedule begins no run before ${event.until}`)
        break
      case 'job-without-session':
        this.#withoutSession.add(event.jobId)
        this.#leave(event, `no session could be opened: ${event.error}`)
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
      case 'set-made':
        for (const jobId of event.jobIds) this.#leave({jobId, scheduleId: event.scheduleId}, WAITS)
        break
      case 'member-canceled':
      case 'set-refused':
        this.#unfinished.delete(event.jobId)
        break
      case 'job-rescued':
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

  /** What was due and has not ended, from the database; without a session, from what this worker knows. */
  async remaining(control: Database | null): Promise<RemainingJob[]> {
    const known = [...this.#unfinished].map(([jobId, left]): RemainingJob => ({jobId, ...left}))
    if (!control) return [...this.#unreadable, ...known]
    const unfinished = await findUnfinished(control, [...this.#unfinished.keys()])
    return [
      ...this.#unreadable,
      ...unfinished.map(({jobId, scheduleId, isRunning}) => {
        const left = this.#unfinished.get(jobId)
        const reason = isRunning && left?.reason === WAITS ? 'another worker runs it' : left?.reason
        return {jobId, scheduleId: scheduleId ?? left?.scheduleId ?? null, reason: reason ?? 'not done'}
      }),
    ]
  }

  #leave({jobId, scheduleId}: {jobId: string; scheduleId: string | null}, reason: string): void {
    this.#unfinished.set(jobId, {scheduleId, reason})
  }
}
