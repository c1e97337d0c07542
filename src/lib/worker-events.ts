import type {ErrorCode} from './errors.ts'
import type {FreshnessState} from './records/freshness.ts'
import type {Advice} from './remedies.ts'
import type {Warning} from './unworded.ts'

/** What identifies one attempt at a job. */
interface AttemptFacts {
  jobId: string
  /** The name of its schedule; null for a job that no schedule has made. */
  schedule: string | null
  scheduleId: string | null
  /** `schema.view`; null if the payload names no view. */
  view: string | null
  attempt: number
}

/** One try to send a notice. */
interface NoticeFacts {
  noticeId: string
  view: string
  state: FreshnessState
  attempt: number
  durationMs: number
}

/** A job that was taken back from a dead worker. */
export interface RescuedJob {
  jobId: string
  /** `schema.view`, as the payload has it; null where the payload names no view that could exist. */
  view: string | null
  attempt: number
  /** The worker that had the job. */
  workerId: string | null
  /**
   * Whether the job was the polling worker's own: the answer to its claim was lost, or its end could not be
   * recorded.
   */
  isOwn: boolean
  /** Queued again, or failed if no attempt is left. */
  state: 'queued' | 'failed'
}

/**
 * Everything that a worker reports. The worker itself does not log; the caller turns events into log lines.
 */
export type WorkerEvent =
  | {type: 'started'; workerId: string; concurrency: number; server: string}
  | {type: 'pooled'; pollIntervalMs: number; leaseMs: number}
  | {type: 'stopping'; running: number; signal: string}
  | {type: 'stopped'}
  | {type: 'database-lost'; error: string}
  | {type: 'database-back'; workerId: string}
  | {type: 'waiting-for-promotion'}
  | {type: 'tables-untrusted'; error: string; advice: Advice}
  | {type: 'tables-trusted'; workerId: string}
  | {type: 'jobs-queued'; schedules: number; jobs: number}
  | {type: 'schedule-unreadable'; scheduleId: string; name: string; error: string; isDue: boolean}
  | {type: 'schedule-timed'; scheduleId: string; name: string; nextRunAt: string | null}
  | {type: 'schedule-retimed'; scheduleId: string; name: string; was: string; nextRunAt: string | null}
  /** A run was missed while no worker was alive, and its schedule makes up for none. */
  | {type: 'run-missed'; scheduleId: string; name: string; dueAt: string | null}
  | ({type: 'job-rescued'} & RescuedJob)
  | {type: 'jobs-exhausted'; jobs: number}
  /** A job became a set of jobs, which run parents first. `jobIds` has all jobs of the set. */
  | ({type: 'set-made'; jobIds: string[]; isWaiting: boolean} & AttemptFacts)
  /** A job that waited was canceled, since a parent has failed, or its schedule was called off. */
  | {type: 'member-canceled'; jobId: string; view: string; reason: string}
  /** The set of an earlier run is under way. */
  | ({type: 'set-refused'} & AttemptFacts)
  | {type: 'worker-ended'; keyHex: string; sessions: number}
  | ({
      type: 'job-started'
      latenessMs: number
      /** How many tries of the job waited in vain for the lock of the view. */
      pastTries: number
    } & AttemptFacts)
  | ({
      type: 'job-succeeded'
      durationMs: number
      /** How long the tries before this one waited for the lock of the view. */
      lockWaitMs: number
    } & AttemptFacts)
  | ({
      type: 'job-waiting'
      /** Which session it waits for, and for how long, as text for people. */
      waiting: string
      /** Since the first try. */
      waitedMs: number
    } & AttemptFacts)
  /** This try did not get the lock of the view; the job is put back for the length of the pause. */
  | ({
      type: 'job-blocked'
      delayMs: number
      tries: number
      /** For whom it waited, and for how long, as a person reads it. */
      waiting: string
    } & AttemptFacts)
  | ({
      type: 'job-retried'
      durationMs: number
      error: string
      code: ErrorCode | null
      delayMs: number
      /** Whether the session was lost before the refresh began: then the attempt does not count. */
      isAttemptReturned: boolean
    } & AttemptFacts)
  | ({
      type: 'job-failed'
      durationMs: number
      error: string
      code: ErrorCode | null
      /** Whether the job has attempts left, but its schedule was disabled or deleted meanwhile. */
      isCalledOff: boolean
    } & AttemptFacts)
  | ({
      type: 'job-skipped'
      delayMs: number
      /** The session that refreshes the view or holds its lock; null if it is gone. */
      holder: string | null
      /** Whether the holder differs from the holder of the last time. */
      isNews: boolean
    } & AttemptFacts)
  /** Nothing that the view reads has changed: the job is done without a refresh. */
  | ({
      type: 'job-unchanged'
      /** Since when nothing has changed. */
      since: string
      /** Whether the job was one of many looks of a schedule with a promise. */
      isLook: boolean
    } & AttemptFacts)
  /**
   * Ayb cannot tell whether anything has changed, and a refresh is not due yet: the job is done without one.
   */
  | ({type: 'job-undue'; dueInMs: number} & AttemptFacts)
  /** Nothing seems to have changed; the job is put back for the look that counts. */
  | ({type: 'job-looks-unchanged'; delayMs: number} & AttemptFacts)
  /** Its schedule begins no run now; the job is put back. */
  | ({type: 'job-put-off'; until: string} & AttemptFacts)
  /** The job was to be put back, but its schedule was disabled or deleted meanwhile. */
  | ({type: 'job-canceled'} & AttemptFacts)
  | ({
      type: 'job-interrupted'
      durationMs: number
      /** False if its schedule was disabled or deleted meanwhile. */
      isReturned: boolean
    } & AttemptFacts)
  | ({type: 'job-lost'} & AttemptFacts)
  | ({type: 'job-without-session'; error: string} & AttemptFacts)
  | ({
      type: 'job-unrecorded'
      message: string
      durationMs?: number
      error?: string
      code?: ErrorCode | null
    } & AttemptFacts)
  | ({type: 'connection-dead'; pid: number} & AttemptFacts)
  | {
      type: 'notice-made'
      noticeId: string
      view: string
      state: FreshnessState
      previousState: FreshnessState | null
    }
  | ({type: 'notice-sent'} & NoticeFacts)
  | ({type: 'notice-retried'; error: string; delayMs: number} & NoticeFacts)
  /** The notice was tried for an hour in vain. */
  | ({type: 'notice-given-up'; error: string} & NoticeFacts)
  | {type: 'pruned'; jobs: number; runs: number}
  | {type: 'warning'; message: Warning}
  | {type: 'slots'; busy: number; total: number}

export type Emit = (event: WorkerEvent) => void
