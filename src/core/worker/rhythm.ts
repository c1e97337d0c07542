import type {Poll} from '../../db/queue/poll.ts'

/**
 * First and longest pause before the next try for work that another worker holds. Each try doubles the pause.
 */
const FIRST_CONTENDED_PAUSE_MS = 50
const LONGEST_CONTENDED_PAUSE_MS = 1000
/** How long claims may go on without a poll. Only a poll finds dead workers and due schedules. */
const LONGEST_WITHOUT_POLL_MS = 5000
/** Pause after an error that only a person can mend. */
const FAILURE_PAUSE_MS = 5000
/** How long a job is put back for when no session could be opened for it. */
const NO_SESSION_PAUSE_MS = 1000

/** What a turn with a poll found and did. */
export interface TurnFacts {
  /**
   * If due schedules were moved on, the times were read after that. Where another worker holds due schedules,
   * `nextScheduleInMs` is about schedules that are not due yet.
   */
  seen: Pick<Poll, 'hasClaimable' | 'nextScheduleInMs' | 'nextJobInMs' | 'ownFreshInMs'>
  /** Whether schedules were due. */
  isDue: boolean
  /** Whether another worker held some of the due schedules. */
  isContended: boolean
  /** How many jobs the turn claimed. */
  claimed: number
  /** Whether sessions of frozen workers were ended, so that jobs of these workers may be free now. */
  hasEndedWorkers: boolean
  /** Whether a job was in hand when the poll was sent. The poll leaves out the views of such jobs. */
  wasBusy: boolean
  /** Slots at the end of the turn. */
  freeSlots: number
  isIdle: boolean
  /** What keeps a worker that runs once from being done; null for a worker that runs until it is stopped. */
  once: OnceFacts | null
}

/** What a worker that runs once waits for although nothing is due. */
export interface OnceFacts {
  /** When the first of the jobs is due again that let readers of their view pass; null without such jobs. */
  nextTryInMs: number | null
  /** Whether a job was put back because no session could be opened for it. */
  isShortOfSessions: boolean
  /** How many jobs have ended so far, each of which left a session free. */
  ended: number
}

/** How a turn ended, and how long to sleep before the next turn unless something wakes the worker. */
export type TurnEnd =
  | {as: 'backlog' | 'contended' | 'again' | 'idle' | 'failed'; pauseMs: number}
  | {as: 'done'}

/** What a turn does first: claim for the free slots, poll, or nothing at all. */
type TurnStart = 'claim' | 'poll' | 'sleep'

/** What a job leaves behind when its slot becomes free. */
export interface LeftByJob {
  /** Whether jobs may be due, or come, of which the last poll or claim told nothing. */
  mayBeMore: boolean
  /** How long until the job is due again; null where the job was not put back. */
  dueInMs: number | null
}

/**
 * Says when a worker looks again, and why. A pure state machine: the worker's turns tell it what happened,
 * and ask what comes next. It has no timers and no database, and the clock is handed in. The head of
 * `worker.ts` has the drawing.
 */
export class Rhythm {
  readonly #pollIntervalMs: number
  readonly #now: () => number
  #hasBacklog = false
  #isAwake = true
  /** What jobs have left since the last poll was sent. */
  #mayBeMore = false
  #nextPollAt = 0
  #pauseEndsAt = 0
  /** When the first of the jobs is due again that were put back since the last poll was sent. */
  #putBackAt = Number.POSITIVE_INFINITY
  #contendedPauseMs = FIRST_CONTENDED_PAUSE_MS
  #endedAtLastWait = 0

  constructor({pollIntervalMs, now = () => performance.now()}: {pollIntervalMs: number; now?: () => number}) {
    this.#pollIntervalMs = pollIntervalMs
    this.#now = now
  }

  /**
   * What the next turn does first. With a backlog, a free slot takes a job without a poll. Without one, a slot
   * that has become free is no reason for a poll by itself.
   */
  get next(): TurnStart {
    if (this.#isAwake || this.#untilPollMs === 0) return 'poll'
    if (this.#hasBacklog) return 'claim'
    return this.#mayBeMore ? 'poll' : 'sleep'
  }

  /** Whether the last claim filled all free slots, so that more jobs are probably due. */
  get hasBacklog(): boolean {
    return this.#hasBacklog
  }

  /** Something may be new, such as after a NOTIFY: the next turn polls. */
  wake(): void {
    this.#isAwake = true
  }

  /** A poll is sent, which sees all that has woken the worker. */
  polling(): void {
    this.#isAwake = false
    this.#mayBeMore = false
    this.#putBackAt = Number.POSITIVE_INFINITY
  }

  /** A slot has become free. */
  freed({mayBeMore, dueInMs}: LeftByJob): void {
    if (dueInMs !== null) this.#putBackAt = Math.min(this.#putBackAt, this.#now() + dueInMs)
    if (mayBeMore) this.#mayBeMore = true
  }

  /** A claim for so many slots returned so many jobs. */
  claimed({slots, jobs}: {slots: number; jobs: number}): void {
    this.#hasBacklog = jobs === slots
  }

  /** Due schedules are made into jobs: until all are, slots that become free wait for the next batch. */
  queueing(): void {
    this.#hasBacklog = false
  }

  /**
   * How a turn ends after a claim; null where the claim left a slot free, and the turn goes on with a poll.
   */
  afterClaim(): TurnEnd | null {
    return this.#hasBacklog ? {as: 'backlog', pauseMs: this.#untilPollMs} : null
  }

  /** How a turn ends in which nothing was to be done. */
  sleepOn(): TurnEnd {
    return {as: 'idle', pauseMs: Math.max(Math.min(this.#pauseEndsAt, this.#putBackAt) - this.#now(), 0)}
  }

  /** How a turn ends after a poll and all that followed from the poll. */
  afterPoll(facts: TurnFacts): TurnEnd {
    const {seen, freeSlots, claimed} = facts
    const poll = this.#pollIntervalMs
    const waits = [poll, seen.nextScheduleInMs ?? poll, seen.ownFreshInMs ?? poll]
    if (freeSlots > 0) waits.push(seen.nextJobInMs ?? poll)
    const nextMs = Math.ceil(Math.min(...waits))
    const isMissed = seen.hasClaimable && freeSlots > 0 && claimed === 0
    // A schedule or a job that another worker holds makes nothing else late.
    if (facts.isContended || isMissed) return this.#end('contended', Math.min(this.#contendedPause(), nextMs))
    this.#contendedPauseMs = FIRST_CONTENDED_PAUSE_MS
    // The poll came before the jobs of ended workers were free.
    if (facts.hasEndedWorkers) return this.#end('again', 0)
    // For a worker that runs once, the times say nothing.
    if (facts.isDue && facts.once) return this.#end('again', 0)
    if (facts.once && facts.isIdle && claimed === 0 && seen.ownFreshInMs === null) {
      return facts.wasBusy ? this.#end('again', 0) : this.#doneUnlessSnoozed(facts.once)
    }
    return this.#end('idle', nextMs)
  }

  /**
   * How a turn ends after an error. When the database is lost, the control session connects with pauses of
   * its own.
   */
  afterFailure({isLost}: {isLost: boolean}): TurnEnd {
    this.wake()
    return isLost ? {as: 'again', pauseMs: 0} : {as: 'failed', pauseMs: FAILURE_PAUSE_MS}
  }

  /** Nothing is due, but jobs that this worker snoozed may be due in a moment. */
  #doneUnlessSnoozed({nextTryInMs, isShortOfSessions, ended}: OnceFacts): TurnEnd {
    if (nextTryInMs !== null) return this.#end('idle', nextTryInMs)
    // When no job has ended since the last wait, no session will become free.
    if (!isShortOfSessions || ended === this.#endedAtLastWait) return {as: 'done'}
    this.#endedAtLastWait = ended
    return this.#end('idle', NO_SESSION_PAUSE_MS)
  }

  get #untilPollMs(): number {
    return Math.max(Math.min(this.#nextPollAt, this.#putBackAt) - this.#now(), 0)
  }

  #contendedPause(): number {
    const pauseMs = this.#contendedPauseMs
    this.#contendedPauseMs = Math.min(pauseMs * 2, LONGEST_CONTENDED_PAUSE_MS)
    return pauseMs
  }

  #end(as: 'contended' | 'again' | 'idle', longestMs: number): TurnEnd {
    const pauseMs = Math.max(Math.min(longestMs, this.#putBackAt - this.#now()), 0)
    this.#pauseEndsAt = this.#now() + pauseMs
    this.#nextPollAt = this.#now() + Math.min(pauseMs, LONGEST_WITHOUT_POLL_MS)
    return {as, pauseMs}
  }
}
