import type {Survey} from '../../db/queue/survey.ts'

/** How soon to look again at what another worker held a moment ago; longer each time that it still holds it. */
const FIRST_CONTENDED_PAUSE_MS = 50
const LONGEST_CONTENDED_PAUSE_MS = 1000
/** How long claims may go on without a look around, which alone sees what they pass over. */
const LONGEST_BACKLOG_MS = 5000

/** What a turn of the loop found and did. */
export interface Turn {
  /** Where somebody holds schedules that are due, its next schedule is one that is not due yet. */
  seen: Survey
  /** Whether schedules were due. */
  isDue: boolean
  /** False where another worker held some of them. */
  isUncontended: boolean
  claimed: number
  /** Whether sessions of frozen workers were ended, so that their jobs may be free now. */
  hasEnded: boolean
  /** Whether something was in hand before the look around. */
  wasBusy: boolean
  freeSlots: number
  isIdle: boolean
}

/** When a worker looks around next. */
export class Pacing {
  readonly #pollIntervalMs: number
  readonly #isOnce: boolean
  #nextSurveyAt = 0
  #contendedPauseMs = FIRST_CONTENDED_PAUSE_MS

  constructor({pollIntervalMs, isOnce}: {pollIntervalMs: number; isOnce: boolean}) {
    this.#pollIntervalMs = pollIntervalMs
    this.#isOnce = isOnce
  }

  /** How long claims may go on before it looks around, in milliseconds; 0 where it is time to. */
  get untilSurveyMs(): number {
    return Math.max(this.#nextSurveyAt - performance.now(), 0)
  }

  /** There may be something new. */
  lookAgain(): void {
    this.#nextSurveyAt = 0
  }

  /** How long to sleep after a turn, in milliseconds; null when nothing is left to do. */
  pauseAfter(turn: Turn): number | null {
    const {seen, freeSlots} = turn
    const {nextScheduleInMs, ownFreshInMs} = seen
    const poll = this.#pollIntervalMs
    const waits = [poll, nextScheduleInMs ?? poll, ownFreshInMs ?? poll]
    if (freeSlots > 0 && seen.nextJobInMs !== null) waits.push(seen.nextJobInMs)
    const nextMs = Math.ceil(Math.min(...waits))
    const isMissed = seen.hasClaimable && freeSlots > 0 && turn.claimed === 0
    // What somebody holds must not make anything else late.
    if (!turn.isUncontended || isMissed) return this.#sleepFor(Math.min(this.#contendedPause(), nextMs))
    this.#contendedPauseMs = FIRST_CONTENDED_PAUSE_MS
    // The next due time of what has just been moved on is not known yet, and the jobs of ended workers are free now.
    if (turn.isDue || turn.hasEnded) return this.#sleepFor(0)
    const isDone = turn.isIdle && turn.claimed === 0 && ownFreshInMs === null
    if (this.#isOnce && isDone) return turn.wasBusy ? this.#sleepFor(0) : null
    return this.#sleepFor(nextMs)
  }

  #contendedPause(): number {
    const pauseMs = this.#contendedPauseMs
    this.#contendedPauseMs = Math.min(pauseMs * 2, LONGEST_CONTENDED_PAUSE_MS)
    return pauseMs
  }

  #sleepFor(ms: number): number {
    this.#nextSurveyAt = performance.now() + Math.min(ms, LONGEST_BACKLOG_MS)
    return ms
  }
}
